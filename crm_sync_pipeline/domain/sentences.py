"""How sentences meet."""


def sentences(*parts: str) -> str:
    """The parts in one line, each with exactly one full stop at its end, or with the ! or ? that it has."""
    return " ".join(_ended(part.strip()) for part in parts if part.strip())


def _ended(sentence: str) -> str:
    bare = sentence.rstrip(" .,:;")
    return bare if bare.rstrip("\"')").endswith((".", "!", "?")) else f"{bare}."
