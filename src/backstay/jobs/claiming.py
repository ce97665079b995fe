"""The statement by which a worker claims jobs: its cost does not grow with those that wait."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Update,
    bindparam,
    case,
    func,
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
from backstay.jobs.statements import KNOWN, NOW, OF_QUEUES, RUN, is_first
from backstay.jobs.tables import FREE, IN_SEQUENCE, QUEUED, TASKS, Job

WINDOW = 100
"""So many due jobs of sequences are looked at. If fewer than half of them are ready, because they
stand behind each other, the sequences are walked through until as many ready ones are found."""

_each = aliased(Job)
_KEY = (Job.id, Job.due_at, Job.position)


def _claim(*queues: ColumnElement[bool]) -> Update:
    due = (QUEUED, Job.due_at <= NOW, KNOWN, *queues)
    may_be_lost = (Job.max_attempts > Job.attempts + 1).label("may_be_lost")
    jobs = _oldest(_candidates(due), may_be_lost)
    left = bindparam("tasks", type_=Integer) - _count(jobs)
    tasks = (
        select(Job.id)
        .where(*due, TASKS, is_first(Job))
        .order_by(Job.due_at, Job.position)
        .limit(case((left > 0, left), else_=0))
        .with_for_update(skip_locked=True)
        .cte("last")
    )
    order = func.row_number().over(order_by=(jobs.c.due_at, jobs.c.position))
    ranked = select(jobs.c.id, jobs.c.may_be_lost, order.label("rank")).subquery()
    chosen = select(ranked.c.id).where(
        or_(ranked.c.may_be_lost, ranked.c.rank <= bindparam("slots", type_=Integer))
    )
    return (
        update(Job)
        .where(Job.id.in_(union_all(chosen, select(tasks.c.id))))
        .values(
            state=JobState.RUNNING.value,
            attempts=Job.attempts + 1,
            due_at=SecondsFromNow("lease"),
            started_at=func.coalesce(Job.started_at, NOW),
        )
        .returning(Job.position, *RUN)
    )


def _oldest(candidates: Subquery, *columns: ColumnElement[Any]) -> CTE:
    """The oldest jobs of the candidates, locked, except those that other claims have locked."""
    return (
        select(*_KEY, *columns)
        .join(candidates, candidates.c.id == Job.id)
        .where(QUEUED, Job.due_at <= NOW)
        .order_by(candidates.c.due_at, candidates.c.position)
        .limit(bindparam("limit"))
        .with_for_update(of=Job, skip_locked=True)
        .cte("first")
    )


def _candidates(due: Sequence[ColumnElement[bool]]) -> Subquery:
    """Jobs that are no tasks: those of no sequence, and those that are first in theirs.

    A claim reads no more of the former than it takes.
    """
    free = _in_order(select(*_KEY).where(*due, FREE)).limit(bindparam("free", type_=Integer))
    sequenced = select(*_KEY, Job.sequence).where(*due, IN_SEQUENCE)
    seen = _in_order(sequenced).limit(WINDOW).cte("seen")
    ready = select(seen.c.id, seen.c.due_at, seen.c.position).where(is_first(seen.c)).cte("ready")
    is_enough = or_(_count(seen) < WINDOW, _count(ready) >= WINDOW // 2)
    walked = _heads(due).limit(case((is_enough, 0), else_=WINDOW)).subquery()
    heads = union(select(ready), select(walked)).subquery()
    return union_all(select(free.subquery()), select(heads)).subquery("candidates")


def _heads(due: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Jobs that are the first of their sequence, found from sequence to sequence by the index."""
    first = select(func.min(_each.sequence)).where(_each.finished_at.is_(None))
    walk = select(first.scalar_subquery().label("sequence")).cte("walk", recursive=True)
    following = first.where(_each.sequence > walk.c.sequence).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.sequence.is_not(None)))
    head = (
        select(_each.id)
        .where(_each.sequence == walk.c.sequence, _each.finished_at.is_(None))
        .order_by(_each.position)
        .limit(1)
        .scalar_subquery()
    )
    return select(*_KEY).join_from(walk, Job, Job.id == head).where(*due, IN_SEQUENCE)


def _in_order(jobs: Select[Any]) -> Select[Any]:
    return jobs.order_by(Job.due_at, Job.position)


def _count(of: CTE) -> ColumnElement[int]:
    return select(func.count()).select_from(of).scalar_subquery()


CLAIM = {False: _claim(), True: _claim(OF_QUEUES)}
"""Claims jobs, by whether only those of some queues are wanted."""
