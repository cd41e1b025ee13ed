"""What a comparison came to, for people: one HTML file with tables and plots, and the plots as files of their own.

Needs the extra `simulate` (matplotlib).
"""

from brownout.simulate.report.files import write_run, write_values
from brownout.simulate.report.page import write

__all__ = ["write", "write_run", "write_values"]
