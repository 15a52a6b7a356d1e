"""What a check of the database found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `crm-sync db check`. `ok` is None for what is merely absent, such as a CRM without columns.

    `remedy` is the statement or the step that fixes it, empty where `detail` says it all. `optional`: contacts are
    delivered without it.
    """

    subject: str
    ok: bool | None
    detail: str = ""
    remedy: str = ""
    optional: bool = False

    def says(self) -> str:
        """The line as a sentence, with what to do."""
        what = f"{self.subject}: {self.detail or 'wrong'}."
        return f"{what} Fix it with: {self.remedy}" if self.remedy else what
