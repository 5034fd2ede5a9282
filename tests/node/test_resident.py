"""An agent in one thread, its member in another."""

from __future__ import annotations

import threading

from qorum.node.resident import Resident
from qorum.qtable import QTable


def test_it_tells_its_host_once_for_each_number_that_was_asked_for() -> None:
    agent, told = Resident(2, seed=1), list[int]()
    due: list[int | None] = [3]
    agent.next_due = lambda: due[0]
    agent.tell = lambda: told.append(agent.interactions)
    for step in range(5):
        agent.learn(step, 0, 1.0, step + 1, False)
    assert told == [3]
    due[0] = None
    agent.learn(0, 1, 1.0, 1, False)
    due[0] = 6
    agent.learn(0, 1, 1.0, 1, False)
    assert told == [3, 7]


def test_evidence_is_whole_while_another_thread_learns_and_adopts() -> None:
    agent = Resident(4, seed=1, bonus=0.5)
    stop, wrong = threading.Event(), list[Exception]()

    def live() -> None:
        step = 0
        while not stop.is_set():
            action = agent.act(step % 997)
            agent.learn(step % 997, action, 1.0, (step * 7 + 1) % 997, step % 11 == 0)
            step += 1

    thread = threading.Thread(target=live)
    thread.start()
    try:
        view = QTable.empty()
        for _ in range(20):
            evidence = agent.evidence(view)
            assert int(evidence.visits.sum()) <= agent.interactions
            agent.adopt(QTable.from_columns(evidence.state_hash, evidence.action, evidence.value, evidence.visits))
            restored = Resident(4)
            restored.restore(agent.dump())
    except Exception as error:
        wrong.append(error)
    finally:
        stop.set()
        thread.join(10)
    assert wrong == []
    assert not thread.is_alive()
