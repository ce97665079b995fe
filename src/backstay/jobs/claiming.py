"""The statement by which a worker claims jobs: its cost does not grow with those that wait."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    union,
    union_all,
    update,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.selectable import CTE, Subquery

from backstay.core.jobs import JobState
from backstay.db.base import SecondsFromNow
from backstay.jobs.statements import KNOWN, NOW, OF_QUEUES, RUN
from backstay.jobs.tables import FREE, IN_SEQUENCE, QUEUED, TASKS, UNFINISHED, Job

WINDOW: ColumnElement[int] = literal_column("100", Integer)
ENOUGH: ColumnElement[int] = literal_column("50", Integer)
"""So many due jobs of sequences are looked at. If fewer than ``ENOUGH`` of them are ready, because
they stand behind each other, the sequences are walked through until as many ready ones are found.
Literals, since the planner of PostgreSQL takes a parameter for a tenth of the table."""
MOST_LOCKED: ColumnElement[int] = literal_column("1000", Integer)
"""So many tasks, and jobs of no sequence, are tried on PostgreSQL, where other claims may have
locked some."""

_LIMIT = select(bindparam("limit", type_=Integer)).scalar_subquery()
"""Not a parameter by itself: with its value, PostgreSQL would plan each claim anew, which takes
longer than most claims."""
_other = aliased(Job)


def _claim(*queues: ColumnElement[bool], is_sqlite: bool) -> Update:
    due = (QUEUED, Job.due_at <= NOW, KNOWN, *queues)
    most = _LIMIT if is_sqlite else MOST_LOCKED
    jobs = _locked(
        "first", _candidates(due, most, is_sqlite=is_sqlite), _LIMIT, is_sqlite=is_sqlite
    )
    left = bindparam("tasks", type_=Integer) - _count(jobs)
    is_first = or_(Job.sequence.is_(None), Job.id == _head(Job.sequence))
    tasks = _in_order(_known_of(Job).where(*due, TASKS, is_first)).limit(most).subquery()
    at_last = _locked("last", tasks, case((left > 0, left), else_=0), is_sqlite=is_sqlite)
    order = func.row_number().over(order_by=(jobs.c.due_at, jobs.c.position))
    ranked = select(jobs.c.id, jobs.c.may_be_lost, order.label("rank")).subquery()
    chosen = select(ranked.c.id).where(
        or_(ranked.c.may_be_lost, ranked.c.rank <= bindparam("slots", type_=Integer))
    )
    return (
        update(Job)
        .where(_is_one_of(Job.id, union_all(chosen, select(at_last.c.id)), is_sqlite=is_sqlite))
        .values(
            state=JobState.RUNNING.value,
            attempts=Job.attempts + 1,
            due_at=SecondsFromNow("lease"),
            started_at=func.coalesce(Job.started_at, NOW),
        )
        .returning(Job.position, *RUN)
    )


def _locked(name: str, candidates: Subquery, limit: ColumnElement[int], *, is_sqlite: bool) -> CTE:
    """The oldest candidates; on PostgreSQL locked, except those that other claims have locked."""
    found = select(*candidates.c).order_by(candidates.c.due_at, candidates.c.position).limit(limit)
    if not is_sqlite:
        found = found.join(Job, Job.id == candidates.c.id).where(QUEUED, Job.due_at <= NOW)
        found = found.with_for_update(of=Job, skip_locked=True)
    return found.cte(name)


def _candidates(
    due: Sequence[ColumnElement[bool]], most: ColumnElement[int], *, is_sqlite: bool
) -> Subquery:
    """Jobs that are no tasks: those of no sequence, and those that are the first of theirs.

    For each sequence that is seen, its first job is looked for once: a planner whose statistics are
    from before a thousand rows of a bulk action were stored reads all of them for that.
    """
    free = _in_order(_known_of(Job).where(*due, FREE)).limit(most)
    sequenced = _in_order(_known_of(Job).add_columns(Job.sequence).where(*due, IN_SEQUENCE))
    seen = sequenced.limit(WINDOW).cte("seen")
    turn = func.row_number().over(partition_by=seen.c.sequence, order_by=seen.c.position)
    in_turn = select(seen, turn.label("turn")).subquery()
    of_seen = (in_turn.c[each.name] for each in seen.c if each is not seen.c.sequence)
    is_head = (in_turn.c.turn == literal_column("1"), in_turn.c.id == _head(in_turn.c.sequence))
    ready = select(*of_seen).where(*is_head).cte("ready")
    is_short = and_(_count(seen) == WINDOW, _count(ready) < ENOUGH)
    of_heads = _is_one_of(_other.id, _heads(due, is_short), is_sqlite=is_sqlite)
    walked = _known_of(_other).where(of_heads)
    firsts = union(select(ready), walked).subquery()
    return union_all(select(free.subquery()), select(firsts)).subquery("candidates")


def _heads(due: Sequence[ColumnElement[bool]], is_wanted: ColumnElement[bool]) -> Select[Any]:
    """The ids of ``WINDOW`` jobs that are the first of their sequences, in the order of these.

    Each row of the walk has the job of the sequence before it.
    """
    first = select(func.min(Job.sequence)).where(UNFINISHED)
    none = cast(null(), Job.id.type)
    start = select(
        first.scalar_subquery().label("sequence"),
        none.label("id"),
        literal(0, Integer).label("found"),
    )
    walk = start.where(is_wanted).cte("walk", recursive=True)
    following = first.where(Job.sequence > walk.c.sequence).scalar_subquery()
    ready = case((and_(*due, IN_SEQUENCE), Job.id))
    found = walk.c.found + case((walk.c.id.is_not(None), 1), else_=0)
    step = select(following, _head(walk.c.sequence, Job, ready), found)
    walk = walk.union_all(step.where(walk.c.sequence.is_not(None), walk.c.found < WINDOW))
    return select(walk.c.id).where(walk.c.id.is_not(None))


def _head(sequence: Any, job: Any = _other, found: Any = _other.id) -> ColumnElement[Any]:
    """What is found of the first unfinished job of a sequence that has one.

    All sequences from there on are read in order, up to the first job: no other index is of use.
    """
    return (
        select(found)
        .where(job.sequence >= sequence, job.finished_at.is_(None))
        .order_by(job.sequence, job.position)
        .limit(literal_column("1"))
        .scalar_subquery()
    )


def _known_of(job: Any) -> Select[Any]:
    may_be_lost = job.max_attempts > job.attempts + 1
    return select(job.id, job.due_at, job.position, may_be_lost.label("may_be_lost"))


def _is_one_of(column: Any, ids: Any, *, is_sqlite: bool) -> ColumnElement[bool]:
    """On PostgreSQL by an array, whose length the planner takes to be small: it might read all
    rows instead."""
    array = func.array(ids.scalar_subquery(), type_=ARRAY(Job.id.type))
    found: ColumnElement[bool] = column.in_(ids) if is_sqlite else column == any_(array)
    return found


def _in_order(jobs: Select[Any]) -> Select[Any]:
    return jobs.order_by(Job.due_at, Job.position)


def _count(of: CTE) -> ColumnElement[int]:
    return select(func.count()).select_from(of).scalar_subquery()


CLAIM = {
    (is_sqlite, of_queues): _claim(*[OF_QUEUES][:of_queues], is_sqlite=is_sqlite)
    for is_sqlite in (True, False)
    for of_queues in (True, False)
}
"""Claims jobs, by whether the database is SQLite, and whether only some queues are wanted."""
