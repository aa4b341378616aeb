"""Planning is linear: a graph of thousands of steps takes one pass."""

from __future__ import annotations

from cortexbuild.core.agenda import Agenda
from cortexbuild.core.digest import Digest, File, Tree
from cortexbuild.core.plan import Goal, Plan, Scope
from cortexbuild.core.step import Input, Kind, Step, ToolId


def test_each_step_of_a_cold_plan_is_looked_up_once():
    tree = Tree((File("a", Digest("a" * 64), 1),))
    steps, goals = {}, {}
    for model in range(300):
        step = Step(Kind.FETCH, ToolId("fetch", 1), {"n": model}, {}, f"m{model}", tree=tree)
        steps[step.id] = step
        for number in range(8):
            step = Step(
                Kind.CONVERT, ToolId("t", 1), {"n": number}, {"model": Input(step.id)}, f"m{model}"
            )
            steps[step.id] = step
        goals[f"m{model}:t"] = Goal(step.id, (), "x", "x")
    asked = []

    def find(key, ingredients):
        asked.append(key)

    plan = Plan(steps, goals)
    agenda = Agenda(plan, plan.ends(Scope(tuple(goals))), find, lambda tree: False)
    assert len(asked) <= 2 * 300 * 2  # the fetches and the first step behind each
    assert sum(agenda.state(id_) == "will-run" for id_ in steps) == 600
