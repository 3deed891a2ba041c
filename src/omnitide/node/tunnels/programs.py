"""Further programs in an instance: what somebody types goes in, what it says comes out, and it ends with the tunnel."""

from omnitide.drivers.protocol import Driver, RunKey
from omnitide.drivers.streams import Exec, ExecEnded, ExecRequest
from omnitide.node.answering import unless_silent
from omnitide.node.tunnels.talk import Talk, until_any
from omnitide.wire import node_pb2 as pb

MOST_SIGNAL = 64


async def run_program(talk: Talk, driver: Driver, key: RunKey, request: pb.ExecRequest) -> None:
    """Until it has ended or nobody listens. Raises DriverError, LinkClosed, Overrun."""
    wanted = ExecRequest(
        command=tuple(request.command),
        environment=dict(request.environment),
        working_directory=request.working_directory,
        user=request.user,
        terminal=request.terminal,
        rows=_measure(request.size.rows) or 24,
        columns=_measure(request.size.columns) or 80,
    )
    program = await unless_silent(driver, driver.exec(key, wanted))
    try:
        await talk.send(pb.TunnelFrame(started=True))

        async def command(frame: pb.TunnelFrame) -> None:
            match frame.WhichOneof("body"):
                case "resize":
                    await program.resize(_measure(frame.resize.rows), _measure(frame.resize.columns))
                case "signal" if 1 <= frame.signal <= MOST_SIGNAL:
                    await program.signal(frame.signal)
                case _:
                    pass

        await until_any(_output(talk, program), talk.listen(command), beside=_input(talk, program))
    finally:
        await program.close()


async def _output(talk: Talk, program: Exec) -> None:
    while True:
        piece = await program.receive()
        if isinstance(piece, ExecEnded):
            exited = pb.ExecExit(code=piece.code, signal=piece.signal)
            await talk.send(pb.TunnelFrame(exited=exited))
            return
        await talk.send_data(piece.data, piece.stream)


async def _input(talk: Talk, program: Exec) -> None:
    async for data in talk.incoming():
        await program.write(data)
    await program.end_input()


def _measure(number: int) -> int:
    """As a terminal holds it."""
    return min(number, 0xFFFF)
