"""The fault of each alert."""

from tests.monitoring import server_faults, service_faults
from tests.monitoring.fault_steps import Fault, stopped

FAULTS: dict[str, Fault] = {
    "BackstayVersionsDiffer": server_faults.other_version,
    "BackstayDown": stopped("worker:worker-2"),
    "BackstayErrors": server_faults.errors,
    "BackstaySlow": server_faults.slow,
    "BackstayRequestsPile": server_faults.pile,
    "BackstayEventLoopBlocked": server_faults.blocked,
    "BackstayWorkerHangs": server_faults.hanging,
    "BackstayRestarts": server_faults.restarts,
    "BackstayFilesRunOut": server_faults.files,
    "BackstayMemory": server_faults.memory,
    "BackstayDatabaseDown": stopped("postgres"),
    "BackstayConnectionTimeouts": service_faults.no_connection,
    "BackstayConnectionsShort": service_faults.few_connections,
    "BackstayWriteLockWaits": service_faults.other_writer,
    "BackstayReplicaDown": service_faults.no_replica,
    "BackstayReplicaLags": service_faults.late_replica,
    "BackstayRedisDown": stopped("valkey"),
    "BackstayChangesUnheard": service_faults.unheard,
    "BackstayMaintenanceLeftOn": service_faults.maintenance,
    "BackstayJobsWait": service_faults.no_worker,
    "BackstayJobsFail": service_faults.failing_jobs,
    "BackstayScheduleOverdue": stopped("worker:*"),
    "BackstayBackupOld": stopped("worker:*"),
    "BackstayBackupFailed": service_faults.no_backup,
    "BackstayBackupUnproven": service_faults.no_proof,
    "BackstayBrokerDown": service_faults.no_broker,
    "BackstayLoginsRefused": server_faults.guesses,
    "BackstayLoginsFail": server_faults.failing_logins,
    "BackstayRateLimited": server_faults.greedy,
    "BackstayAuditRowsLost": server_faults.no_audit,
}
"""What brings each alert about."""
