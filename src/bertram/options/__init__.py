"""Options: TOML files and command lines become a configuration, and a configuration becomes TOML and help.

values         checked configurations, changes, merged tables
toml           TOML files, read and written
command_line   ``--name value`` as tables
schema         name, type, range, default and description of every option
help           help text with the values of a configuration
faults         messages about faulty configurations
identity       hash of a configuration
old_names      former names of options
"""

from bertram.options.command_line import nest
from bertram.options.identity import digest
from bertram.options.schema import fields
from bertram.options.toml import read, to_toml
from bertram.options.values import change, dump, leaves, make, merge, overlay

__all__ = ["change", "digest", "dump", "fields", "leaves", "make", "merge", "nest", "overlay", "read", "to_toml"]
