# SPDX-License-Identifier: Apache-2.0
"""The classes and functions that a config names: where they are, and which arguments they take."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pydoc import ErrorDuringImport, locate
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent

from lungseg.model.trust import is_computed
from lungseg.utils.errors import UsageError, first_line

_NOT_BY_NAME = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
_TARGET = "_target_"


@cache
def _locator() -> ComponentLocator:
    return ComponentLocator()


def find_target(target: str) -> Callable[..., Any] | None:
    """Find the class or function that MONAI finds for a `_target_`: a name in MONAI, or a path such as `torch.nn.ReLU`.

    Raises:
        UsageError: its module cannot be imported (target-not-importable).
    """
    path = ConfigComponent({_TARGET: target}, locator=_locator()).resolve_module_name()
    try:
        found = locate(path)
    except ErrorDuringImport as error:
        what = f"the module of {target!r} cannot be imported ({first_line(error.value or error)})"
        raise UsageError(what, remedy="correct the module", code="target-not-importable") from error
    return found if callable(found) else None


def require_target(target: str, thing: str, choices: Sequence[str] = (), example: str = "torch.optim.SGD") -> Any:
    """Find a class or function, as `find_target` does.

    Args:
        target: its name in MONAI or its path.
        thing: what it is for the user, such as "network".
        choices: other names that the user could have given.
        example: a path that the user could have given.

    Raises:
        UsageError: there is none (unknown-THING), or its module cannot be imported (target-not-importable).
    """
    found = find_target(target)
    if found is not None:
        return found
    near = difflib.get_close_matches(target, choices, n=1) or _near_targets(target)
    names = ", ".join([*choices, "or "]) if choices else ""
    remedy = f"did you mean {' or '.join(near)}" if near else f"give {names}the path of a class, such as {example}"
    raise UsageError(f"there is no {thing} {target!r}", remedy=remedy, code=f"unknown-{thing}")


def _near_targets(target: str) -> list[str]:
    """Return names that are like one that does not exist: of MONAI, or of the module in its path."""
    module, _, name = target.rpartition(".")
    if not module:
        # MONAI's own table, which finding the name has filled.
        return difflib.get_close_matches(name, list(_locator()._components_table or ()), n=3)
    try:
        names = [found for found in dir(import_module(module)) if not found.startswith("_")]
    except ImportError:
        return []
    return [f"{module}.{found}" for found in difflib.get_close_matches(name, names, n=3)]


def arguments_of(function: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the arguments that a class or function takes by name, and whether it may take others too.

    A class that passes `**kwargs` on, often to its bases, has their arguments too, none of which it needs.
    """
    functions: list[Callable[..., Any]] = [function]
    if inspect.isclass(function):
        functions = [kind.__dict__["__init__"] for kind in function.__mro__ if "__init__" in kind.__dict__]
    found: dict[str, inspect.Parameter] = {}
    for number, one in enumerate(functions):
        try:
            parameters = list(inspect.signature(one).parameters.values())
        except (TypeError, ValueError):  # of a type that is not written in Python
            return found, True
        for parameter in parameters[1:] if inspect.isclass(function) else parameters:
            if parameter.kind not in (*_NOT_BY_NAME, inspect.Parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, parameter if number == 0 else parameter.replace(default=None))
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            return found, number > 0
    return found, True


def takes_argument(component: object, name: str) -> bool:
    """Return whether a component of a config takes an argument: it has it, or none that is like it and `**kwargs`."""
    arguments, others = component_arguments(component)
    return name in arguments or (others and not difflib.get_close_matches(name, arguments, cutoff=0.8))


def component_arguments(component: object) -> tuple[list[str], bool]:
    """Return the arguments that a component of a config takes, and whether it takes any others too.

    There are none if it is not a component, or its target is not known.
    """
    target = component.get(_TARGET) if isinstance(component, dict) else None
    function = find_target(target) if isinstance(target, str) and not is_computed(target) else None
    if function is None:
        return [], False
    arguments, others = arguments_of(function)
    return list(arguments), others


def check_components(config: Mapping[str, Any]) -> None:
    """Check that every component of a config exists, takes the arguments that it is given, and has those that it needs.

    Nothing is built, so that a mistake is found before the data is read.

    Raises:
        UsageError: one does not (unknown-component, unknown-argument, missing-argument, target-not-importable); the
            sentence begins with the item's id.
    """
    for name, component in components_in(config):
        if not is_computed(component[_TARGET]) and component.get("_disabled_") is not True:
            _check_component(name, component)


def components_in(config: object, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id of each component of a config, and the component."""
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(config, Mapping):
        if isinstance(config.get(_TARGET), str):
            yield name, dict(config)
        items = iter(config.items())
    elif isinstance(config, list):
        items = iter(enumerate(config))
    for key, value in items:
        yield from components_in(value, f"{name}#{key}" if name else str(key))


def _check_component(name: str, component: dict[str, Any]) -> None:
    target = component[_TARGET]
    try:
        function = require_target(target, "component")
    except UsageError as error:
        raise UsageError(f"{name}: {error.what}", remedy=error.remedy, code=error.code) from error
    arguments, others = arguments_of(function)
    given = set(component) - ConfigComponent.non_arg_keys
    for argument in sorted(given):
        near = difflib.get_close_matches(argument, arguments, n=3, cutoff=0.8 if others else 0.6)
        if argument not in arguments and (near or not others):
            remedy = f"did you mean {' or '.join(near)}" if near else f"it takes {', '.join(arguments) or 'none'}"
            what = f"{name}: {target} does not take the argument {argument!r}"
            raise UsageError(what, remedy=remedy, code="unknown-argument")
    if component.get("_mode_") == "callable":
        return
    needed = [key for key, argument in arguments.items() if argument.default is inspect.Parameter.empty]
    if missing := [key for key in needed if key not in given]:
        remedy = f"give {' '.join(f'--config {name}#{key}=VALUE' for key in missing)}"
        what = f"{name}: {target} needs {'the argument ' if len(missing) == 1 else ''}{' and '.join(missing)}"
        raise UsageError(what, remedy=remedy, code="missing-argument")
