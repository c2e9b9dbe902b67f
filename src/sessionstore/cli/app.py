"""All commands, put together."""

import typer

from sessionstore.cli import checkup, db, exporting, importing, sessions

app = typer.Typer(
    name="sessionstore",
    help="Look at, move and look after stored conversations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks show what variables hold
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(db.app, name="db")
app.command("import")(importing.import_)
app.command("export")(exporting.export)
app.command("ls")(sessions.ls)
app.command("show")(sessions.show)
app.command("rm")(sessions.rm)
app.command("doctor")(checkup.doctor)
