"""`clonewatch share` as one group: what leaves, what comes in, and the formats of both."""

from clonewatch.cli import share_arrivals, share_formats
from clonewatch.cli.share import app

app.command("import", short_help="Take in what another provider tells.")(share_arrivals.import_)
app.command("peers", short_help="List who told something, and how right they were.")(share_arrivals.peers)
app.command("trial", short_help="Show what others' indicators would have matched.")(share_arrivals.trial)
app.command("feed", short_help="Say whether another provider's word counts.")(share_arrivals.feed)
app.command("rely", short_help="Say that a case rests on what another told too.")(share_arrivals.rely)
app.command("answer", short_help="Tell a sender that you disagree, or saw it.")(share_arrivals.answer)
app.registered_commands += share_formats.app.registered_commands
