"""Processes that can be killed: every task belongs to the process in whose context it was made."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

_process: "contextvars.ContextVar[Process | None]" = contextvars.ContextVar("process", default=None)


class Process:
    """A group of tasks that live and die together. Killing runs no orderly shutdown that others could see: links break
    first, then the tasks are cancelled, and what their clean-up would start is cancelled too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.tasks: dict[asyncio.Task[Any], None] = {}

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> "asyncio.Task[Any]":
        context = contextvars.copy_context()
        context.run(_process.set, self)
        return asyncio.get_running_loop().create_task(work, name=name or self.name, context=context)

    async def kill(self) -> None:
        self.alive = False
        for _ in range(100):
            living = [task for task in self.tasks if not task.done()]
            if not living:
                break
            for task in living:
                task.cancel()
            await asyncio.sleep(0)
        else:
            raise AssertionError(f"{self.name} does not die: {[task for task in self.tasks if not task.done()]}")
        for task in self.tasks:
            if not task.cancelled():
                task.exception()
        self.tasks.clear()

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))
        if not self.alive:
            task.cancel()


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop sort its tasks by process."""

    def factory(
        loop: asyncio.AbstractEventLoop, work: Any, *, name: str | None = None, context: Any = None
    ) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, name=name, context=context)
        owner = (context or contextvars.copy_context()).get(_process)
        if owner is not None:
            owner.adopt(task)
        return task

    loop.set_task_factory(factory)
