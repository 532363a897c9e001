"""Cut histories into sessions, and ask within each what comes next."""

import numpy as np

from recommender.arrays import BoolArray, IntArray
from recommender.interactions.histories import Histories
from recommender.interactions.splits import Split


def cut_sessions(histories: Histories, *, gap_minutes: float) -> Histories:
    """Make every session a history of its own: a longer pause begins a new one.

    Where times are unknown there are no pauses.
    """
    pauses = np.diff(histories.times, prepend=0.0) > 60 * gap_minutes
    begins = pauses | np.isin(np.arange(len(histories.items)), histories.starts)
    return Histories(
        starts=np.append(np.flatnonzero(begins), len(histories.items)).astype(np.int64),
        items=histories.items,
        weights=histories.weights,
        times=histories.times,
        n_items=histories.n_items,
    )


def next_in_session(histories: Histories, moment: float, *, gap_minutes: float) -> Split:
    """Ask, after every event of later sessions, for the one item that comes next.

    The protocol of session-based comparisons (Ludewig & Jannach 2018, sec. 4): sessions that began
    before a moment are learned from; in each that began later, what came so far is revealed step by
    step. Sessions of one event and, of later ones, events with items that nobody had met before
    are left out; what was met in the session may come again, so judge with `seen_too`. All items
    are ranked. Nothing is known of a person but the session.

    Args:
        histories: With times.
        moment: In seconds, as the times are.
        gap_minutes: A longer pause begins a new session.

    Raises:
        ValueError: No session is on one side of the moment.
    """
    sessions = cut_sessions(histories, gap_minutes=gap_minutes)
    begins = sessions.times[sessions.starts[:-1]]
    earlier = _longer(sessions.of_customers(np.flatnonzero(begins < moment)))
    later = sessions.of_customers(np.flatnonzero(begins >= moment))
    later = _longer(later.where(np.isin(later.items, earlier.items)))
    if not len(earlier) or not len(later):
        raise ValueError("A moment must lie between sessions of two events or more.")
    asked, answers = _steps(later)
    return Split(learned=earlier, asked=asked, answers=answers, name="next in session")


def _longer(sessions: Histories) -> Histories:
    return sessions.of_customers(np.flatnonzero(sessions.lengths > 1))


def _steps(sessions: Histories) -> tuple[Histories, Histories]:
    """Return what is revealed before each event but a session's first, and that event."""
    is_answer: BoolArray = np.ones(len(sessions.items), dtype=bool)
    is_answer[sessions.starts[:-1]] = False
    answers = np.flatnonzero(is_answer)
    begins = sessions.starts[sessions.customers[answers]]
    return _stretches(sessions, begins, answers), _stretches(sessions, answers, answers + 1)


def _stretches(histories: Histories, begins: IntArray, ends: IntArray) -> Histories:
    """Make histories of stretches of events, from each begin up to each end."""
    lengths = ends - begins
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = np.repeat(begins - starts[:-1], lengths) + np.arange(starts[-1])
    return Histories(
        starts=starts,
        items=histories.items[places],
        weights=histories.weights[places],
        times=histories.times[places],
        n_items=histories.n_items,
    )
