"""Which class a CDP message is of: the one table. The class travels in the frame header; queue.py says what it does.

A command is critical if a person or a script uses it to stop something; its answer is of the same class. An event is
critical if the page stands still until it is answered, and low if there are many large ones of which none is urgent. An
answer somebody waits for is never low, however large (IO.read, Page.printToPDF); nor is what a table does not name.
`Browser.close` is not here: the client end answers it and never sends it.
"""

from browsergo.core.channel.frames import Priority

_COMMANDS = {
    "Page.handleJavaScriptDialog": Priority.CRITICAL,
    "Page.stopLoading": Priority.CRITICAL,
    "Runtime.terminateExecution": Priority.CRITICAL,
    "Target.closeTarget": Priority.CRITICAL,
}
_EVENTS = {
    b"Page.javascriptDialogOpening": Priority.CRITICAL,
    b"Page.screencastFrame": Priority.LOW,
    b"Tracing.dataCollected": Priority.LOW,
}


def of_command(method: str) -> int:
    """The class of a command."""
    return _COMMANDS.get(method, Priority.NORMAL)


def of_event(method: bytes) -> int:
    """The class of an event; its method as the browser spells it."""
    return _EVENTS.get(method, Priority.NORMAL)
