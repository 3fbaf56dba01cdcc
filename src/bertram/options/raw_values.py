"""Values of a configuration before they are checked."""

from typing import Any, TypeAlias

RawValues: TypeAlias = dict[str, Any]  # nested tables as TOML has them; what they hold is known once Config has checked
