"""Every action that the code can write into the audit log has words for people, and no words are left over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from models_admin.dashboard.audit_words import ACTIONS, CHANGED, KINDS
from models_admin.models.control import DecisionStatus
from models_admin.models.rollouts import ACTIVE_STATES, RolloutState
from models_admin.services.instances import _ORDERED
from tests.architecture.sources import modules

ACTION = re.compile(r"[a-z_]+\.[a-z_]+")
# What stands in the place of the braces where an action is put together.
ENDED = (DecisionStatus.KEPT, DecisionStatus.UNDONE, DecisionStatus.INCONCLUSIVE, DecisionStatus.DISMISSED)
PUT_TOGETHER = {
    "rollout.{state.value}": [state for state in RolloutState if state not in (*ACTIVE_STATES, RolloutState.PROMOTED)],
    "tuning.{status}": list(ENDED),
    "instance.{verb}": list(_ORDERED),
}


def calls(name: str) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
    """Every call of a function of this name, with the function around it."""
    for module in modules("models_admin"):
        functions = [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef)]
        for call in ast.walk(module.tree):
            if isinstance(call, ast.Call) and name in (getattr(call.func, "attr", ""), getattr(call.func, "id", "")):
                around = [one for one in functions if any(inner is call for inner in ast.walk(one))]
                yield (around[-1] if around else None), call


def actions_of(expression: ast.expr, around: ast.FunctionDef | None) -> set[str]:
    """What the second argument of an audit call may be."""
    if isinstance(expression, ast.Constant):
        return {str(expression.value)}
    if isinstance(expression, ast.IfExp):
        return actions_of(expression.body, around) | actions_of(expression.orelse, around)
    if isinstance(expression, ast.JoinedStr):
        source = ast.unparse(expression)[2:-1]
        return {source.partition("{")[0] + str(value) for value in PUT_TOGETHER[source]}
    assert isinstance(expression, ast.Name), ast.unparse(expression)
    assert around is not None
    given = [argument for _, call in calls(around.name) for argument in call.args if isinstance(argument, ast.Constant)]
    return {one.value for one in given if isinstance(one.value, str) and ACTION.fullmatch(one.value)}


def audit_calls() -> list[tuple[ast.FunctionDef | None, ast.Call]]:
    return [(around, call) for around, call in calls("audit") if len(call.args) >= 4]


def test_every_action_that_can_be_written_has_words_and_no_words_are_left_over() -> None:
    written = {action for around, call in audit_calls() for action in actions_of(call.args[1], around)}
    assert len(written) > 50
    assert written == set(ACTIONS)
    assert set(ACTIONS) >= set(CHANGED)


def test_every_kind_of_thing_has_a_word() -> None:
    assert {call.args[2].value for _, call in audit_calls() if isinstance(call.args[2], ast.Constant)} == set(KINDS)
