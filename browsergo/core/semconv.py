"""Names of spans and attributes: one schema, not strings in code (design/observability.md).

They follow OpenTelemetry's semantic conventions where those have a name for the thing.
"""

SERVICE_EDGE = "browsergo-edge"
SERVICE_ROUTER = "browsergo-router"
SERVICE_REGISTRY = "browsergo-registry"
SERVICE_CONTROL = "browsergo-control"
SERVICE_AGENT = "browsergo-agent"

# Spans of one CDP command; every one is a child of SPAN_COMMAND.
SPAN_COMMAND = "cdp.command"  # followed by the method: "cdp.command Page.navigate"
SPAN_EDGE_QUEUE = "edge.queue"
SPAN_ROUTER_SWITCH = "router.switch"
SPAN_EDGE_LINK = "edge.link"
SPAN_AGENT_DISPATCH = "agent.dispatch"
SPAN_BROWSER = "browser"
SPAN_AGENT_ANSWER = "agent.answer"
SPAN_EVENT = "cdp.event"

ATTR_METHOD = "cdp.method"
ATTR_COMMAND_ID = "cdp.id"
ATTR_CHANNEL = "browsergo.channel"
ATTR_DEVICE = "browsergo.device"
ATTR_SEQUENCE = "browsergo.seq"
ATTR_DIRECTION = "browsergo.direction"
ATTR_BYTES = "browsergo.bytes"
DIRECTION_DOWN = "down"  # toward the browser
DIRECTION_UP = "up"  # toward the client

OTHER_METHOD = "other"  # a method that is not spelled Domain.name; a name can carry a secret
