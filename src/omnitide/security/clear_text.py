"""A value in the clear, as it goes through our hands. Standard library only: nodes hold such values too."""

import hmac


class ClearText:
    """A value in the clear. It shows itself to nobody who does not ask for it by `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClearText) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment] # a hash would say something of the value

    def __repr__(self) -> str:
        return "<clear text>"

    def __reduce__(self) -> str:
        raise TypeError("a value in the clear is not written anywhere")
