"""A great change of an agent's replicas, in steps: whatever else Nexus has to do has its turn between two of them."""

import dataclasses
import hashlib
from typing import Final, Literal

from msgspec.structs import replace

from omnitide.fabric import commands as cm
from omnitide.operations.changing import Made, change
from omnitide.operations.operation import Context
from omnitide.operations.runtime import Runtime

AT_ONCE: Final = 5_000
"""Replicas that one command adds or takes away. What is decided of more at one go holds the loop up."""


async def scaled(
    runtime: Runtime,
    context: Context,
    first: cm.DeployAgent | cm.ScaleAgent,
    owner: Literal["manifest", "scale"] = "scale",
) -> Made:
    """What the command and the further steps towards the number that it asks for came to.

    All that may be against the whole is known at the first step. Each is durable by itself and has a key of its own if
    the request has one: the same request again goes on where it was broken off. Raises Failed, where somebody else has
    given the agent another number meanwhile too, and NotServing: what was done until then stays.
    """
    made = await change(runtime, context, replace(first, at_once=AT_ONCE), namespace=first.namespace)
    number, done = 1, made
    while "wanted" in done.result and not context.dry_run:
        number += 1
        step = cm.ScaleAgent(
            namespace=first.namespace,
            name=first.name,
            replicas=int(done.result["wanted"]),
            at_once=AT_ONCE,
            seen=_reached(done),
            owner=owner,
        )
        again = _step_context(context, number)
        done = await change(runtime, again, step, namespace=first.namespace)
    return made if done is made else _together(made, done)


def _reached(made: Made) -> int:
    return int(made.result["replicas"] if "replicas" in made.result else made.result["to"])


def _step_context(context: Context, number: int) -> Context:
    """The agent has another revision by now; a key has room for no more than so many letters."""
    key = context.idempotency_key
    if key:
        key = f"{hashlib.sha256(key.encode()).hexdigest()}/{number}"
    return dataclasses.replace(context, idempotency_key=key, if_match=None)


def _together(first: Made, last: Made) -> Made:
    """As of the last step, and what the first was besides."""
    return dataclasses.replace(last, result=first.result, changed=first.changed, replayed=first.replayed)
