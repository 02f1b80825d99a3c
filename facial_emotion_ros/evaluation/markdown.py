"""Tables in Markdown, for the model card and for what commands print."""


def table(heads, rows):
    """Write a table.

    :param heads: what stands above each column.
    :param rows: list of rows of as many cells, each written by `str`.
    :returns: str, without a newline at its end.
    """
    lines = [f'| {" | ".join(str(cell) for cell in row)} |' for row in (heads, ['---'] * len(heads), *rows)]
    return '\n'.join(lines)
