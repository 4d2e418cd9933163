"""Attribute names of telemetry for the facts of a model call: one table for all dialects in use.

The conventions are in development and changed more than once, so the names are listed here rather than taken from a
package that follows only the newest. Dialects: `genai` (OpenTelemetry GenAI semantic conventions since they have their
own repository), `genai-old` (the earlier ones), `openllmetry`, `langfuse`, `openinference`, `vercel` (the AI SDK).
`logfire` and `openlit` are few names beside
those. `general` names are plain OpenTelemetry ones. Earlier names of a column win.
"""

from typing import NamedTuple

VERSION = "2026-11"


class Alias(NamedTuple):
    """An attribute that may fill a column, and the dialect that has it."""

    column: str
    attribute: str
    dialect: str


ALIASES: tuple[Alias, ...] = (
    Alias("account_id", "user.id", "general"),
    Alias("account_id", "user.hash", "general"),
    Alias("account_id", "enduser.id", "general"),
    Alias("account_id", "enduser.pseudo.id", "general"),
    Alias("account_id", "langfuse.user.id", "langfuse"),
    Alias("account_id", "traceloop.association.properties.user_id", "openllmetry"),
    Alias("account_id", "ai.telemetry.metadata.userId", "vercel"),
    Alias("account_id", "ai.telemetry.metadata.user_id", "vercel"),
    Alias("exchange_id", "gen_ai.response.id", "genai"),
    Alias("exchange_id", "llm.response.id", "openllmetry"),
    Alias("exchange_id", "ai.response.id", "vercel"),
    Alias("end_user_id", "gen_ai.user", "openllmetry"),
    Alias("end_user_id", "gen_ai.request.user", "openlit"),
    Alias("end_user_id", "llm.user", "openllmetry"),
    Alias("session_id", "gen_ai.conversation.id", "genai"),
    Alias("session_id", "session.id", "general"),
    Alias("session_id", "langfuse.session.id", "langfuse"),
    Alias("session_id", "traceloop.association.properties.session_id", "openllmetry"),
    Alias("session_id", "ai.telemetry.metadata.sessionId", "vercel"),
    Alias("operation", "gen_ai.operation.name", "genai"),
    Alias("operation", "llm.request.type", "openllmetry"),
    Alias("operation", "openinference.span.kind", "openinference"),
    Alias("operation", "langfuse.observation.type", "langfuse"),
    Alias("operation", "ai.operationId", "vercel"),
    Alias("operation", "operation.name", "vercel"),
    Alias("model", "gen_ai.response.model", "genai"),
    Alias("model", "gen_ai.request.model", "genai"),
    Alias("model", "langfuse.observation.model.name", "langfuse"),
    Alias("model", "llm.model_name", "openinference"),
    Alias("model", "llm.response.model", "openllmetry"),
    Alias("model", "llm.request.model", "openllmetry"),
    Alias("model", "embedding.model_name", "openinference"),
    Alias("model", "ai.response.model", "vercel"),
    Alias("model", "ai.model.id", "vercel"),
    Alias("status", "http.response.status_code", "general"),
    Alias("status", "http.status_code", "general"),
    Alias("stop_reason", "gen_ai.response.finish_reasons", "genai"),
    Alias("stop_reason", "gen_ai.response.finish_reason", "genai-old"),
    Alias("stop_reason", "gen_ai.completion.0.finish_reason", "openllmetry"),
    Alias("stop_reason", "llm.finish_reason", "openinference"),
    Alias("stop_reason", "ai.response.finishReason", "vercel"),
    Alias("input_tokens", "gen_ai.usage.input_tokens", "genai"),
    Alias("input_tokens", "gen_ai.usage.prompt_tokens", "genai-old"),
    Alias("input_tokens", "llm.token_count.prompt", "openinference"),
    Alias("input_tokens", "llm.usage.prompt_tokens", "openllmetry"),
    Alias("input_tokens", "ai.usage.inputTokens", "vercel"),
    Alias("input_tokens", "ai.usage.promptTokens", "vercel"),
    Alias("input_tokens", "ai.usage.tokens", "vercel"),
    Alias("output_tokens", "gen_ai.usage.output_tokens", "genai"),
    Alias("output_tokens", "gen_ai.usage.completion_tokens", "genai-old"),
    Alias("output_tokens", "llm.token_count.completion", "openinference"),
    Alias("output_tokens", "llm.usage.completion_tokens", "openllmetry"),
    Alias("output_tokens", "ai.usage.outputTokens", "vercel"),
    Alias("output_tokens", "ai.usage.completionTokens", "vercel"),
    Alias("reasoning_tokens", "gen_ai.usage.reasoning.output_tokens", "genai"),
    Alias("reasoning_tokens", "llm.token_count.completion_details.reasoning", "openinference"),
    Alias("reasoning_tokens", "gen_ai.usage.reasoning_tokens", "openllmetry"),
    Alias("reasoning_tokens", "ai.usage.reasoningTokens", "vercel"),
    Alias("cached_tokens", "gen_ai.usage.cache_read.input_tokens", "genai"),
    Alias("cached_tokens", "gen_ai.usage.cache_read_input_tokens", "openllmetry"),
    Alias("cached_tokens", "llm.token_count.prompt_details.cache_read", "openinference"),
    Alias("cached_tokens", "ai.usage.cachedInputTokens", "vercel"),
    Alias("max_tokens", "gen_ai.request.max_tokens", "genai"),
    Alias("max_tokens", "llm.request.max_tokens", "openllmetry"),
    Alias("max_tokens", "ai.settings.maxOutputTokens", "vercel"),
    Alias("max_tokens", "ai.settings.maxTokens", "vercel"),
    Alias("temperature", "gen_ai.request.temperature", "genai"),
    Alias("temperature", "llm.temperature", "openllmetry"),
    Alias("temperature", "ai.settings.temperature", "vercel"),
    Alias("top_p", "gen_ai.request.top_p", "genai"),
    Alias("top_p", "llm.top_p", "openllmetry"),
    Alias("top_p", "ai.settings.topP", "vercel"),
    Alias("n", "gen_ai.request.choice.count", "genai"),
    Alias("stream", "gen_ai.request.stream", "genai"),
    Alias("stream", "gen_ai.is_streaming", "genai-old"),
    Alias("stream", "llm.is_streaming", "openllmetry"),
    Alias("stream", "gen_ai.request.is_stream", "openlit"),
    Alias("client_ip", "client.address", "general"),
    Alias("client_ip", "http.client_ip", "general"),
    Alias("client_ip", "http.request.header.x-forwarded-for", "general"),
    Alias("user_agent", "user_agent.original", "general"),
    Alias("user_agent", "http.user_agent", "general"),
    Alias("user_agent", "http.request.header.user-agent", "general"),
    Alias("user_agent", "ai.request.headers.user-agent", "vercel"),
    Alias("system_text", "gen_ai.system_instructions", "genai"),
    Alias("messages", "gen_ai.input.messages", "genai"),
    Alias("messages", "gen_ai.prompt", "genai-old"),
    Alias("messages", "langfuse.observation.input", "langfuse"),
    Alias("messages", "input.value", "openinference"),
    Alias("messages", "traceloop.entity.input", "openllmetry"),
    Alias("messages", "ai.prompt.messages", "vercel"),
    Alias("messages", "ai.prompt", "vercel"),
    Alias("messages", "ai.value", "vercel"),
    Alias("messages", "ai.values", "vercel"),
    Alias("messages", "request_data", "logfire"),
    Alias("messages", "embedding.text", "openinference"),
    Alias("response_text", "gen_ai.output.messages", "genai"),
    Alias("response_text", "gen_ai.completion", "genai-old"),
    Alias("response_text", "langfuse.observation.output", "langfuse"),
    Alias("response_text", "output.value", "openinference"),
    Alias("response_text", "ai.response.text", "vercel"),
    Alias("response_text", "ai.response.object", "vercel"),
    Alias("response_text", "response_data", "logfire"),
)

# Attributes written key by key: PREFIX.0.role, PREFIX.0.content, PREFIX.1.role ... ("{i}" is the position of the
# number).
INDEXED: tuple[Alias, ...] = (
    Alias("messages", "gen_ai.prompt.{i}", "openllmetry"),
    Alias("messages", "llm.prompts.{i}", "openllmetry"),
    Alias("messages", "llm.input_messages.{i}.message", "openinference"),
    Alias("messages", "llm.prompts.{i}.prompt", "openinference"),
    Alias("response_text", "gen_ai.completion.{i}", "openllmetry"),
    Alias("response_text", "llm.completions.{i}", "openllmetry"),
    Alias("response_text", "llm.output_messages.{i}.message", "openinference"),
    Alias("response_text", "llm.choices.{i}.completion", "openinference"),
)

# OpenInference writes the body of the answer as it came.
WHOLE_ANSWER = "output.value"

# Request parameters combined in one JSON attribute, and token counts likewise.
PARAMETERS: tuple[Alias, ...] = (
    Alias("*", "llm.invocation_parameters", "openinference"),
    Alias("*", "langfuse.observation.model.parameters", "langfuse"),
)
USAGE = Alias("*", "langfuse.observation.usage_details", "langfuse")

# Tools offered to the model: one attribute with all of them, or one per tool ("{i}" is its number).
TOOLS = ("gen_ai.tool.definitions", "ai.prompt.tools", "gen_ai.request.tools")
TOOLS_INDEXED = ("llm.tools.{i}.tool.json_schema", "gen_ai.tool.definitions.{i}")
TOOLS_SPREAD = ("llm.request.functions.{i}", ("name", "description", "parameters"))
# What a request may hold beside its messages, and no text.
BESIDE = frozenset(("tools", "stop", "response_format"))
# The answer's form: "json_object" or "json_schema" in the first, "json" in the second.
FORMS = ("gen_ai.openai.request.response_format", "gen_ai.output.type")
PLAIN_FORM = "text"
STOPS = ("gen_ai.request.stop_sequences", "llm.chat.stop_sequences")

# A span or log record is a model call if it has one of these; other spans of a trace are skipped.
CALLS = (
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "llm.request.model",
    "llm.response.model",
    "langfuse.observation.model.name",
    "embedding.model_name",
)
# Attributes that say what kind of span it is, and their values for model calls: a failed call may name no model. Spans
# of another kind are none, although they may name one: an agent, a tool, or the span around the call.
KINDS = {
    "openinference.span.kind": frozenset(("LLM", "EMBEDDING")),
    "langfuse.observation.type": frozenset(("generation", "embedding")),
    "gen_ai.operation.name": frozenset(
        ("chat", "generate_content", "text_completion", "completion", "embeddings", "embedding", "responses",
         "response", "image_generation", "generate_image", "image", "speech", "transcription", "moderation")
    ),
    "llm.request.type": frozenset(("chat", "completion", "embedding", "image", "unknown")),
}  # fmt: skip
NOT_CALLS = ("invoke_agent", "create_agent", "execute_tool", "invoke_workflow", "retrieval")
# Of the Vercel AI SDK only the inner span is the call; its parent has the same prompt.
VERCEL_KINDS = ("ai.operationId", "operation.name")
VERCEL_CALLS = (".doGenerate", ".doStream", ".doEmbed")

# Values of `operation`.
OPERATIONS = {
    "chat": "chat",
    "responses": "chat",
    "response": "chat",
    "generate_content": "chat",
    "completion": "completion",
    "text_completion": "completion",
    "embeddings": "embedding",
    "embedding": "embedding",
    "EMBEDDING": "embedding",
    "LLM": "chat",
    "generation": "chat",
    "doGenerate": "chat",
    "doStream": "chat",
    "doEmbed": "embedding",
}

# HTTP statuses of the errors that SDKs raise, by the last part of their names.
ERRORS = {
    "BadRequestError": 400,
    "ContextWindowExceededError": 400,
    "ContentPolicyViolationError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "ConflictError": 409,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "ThrottlingException": 429,
    "ResourceExhausted": 429,
    "InternalServerError": 500,
    "APIStatusError": 500,
    "ServiceUnavailableError": 503,
    "OverloadedError": 529,
    "Timeout": 504,
}
# Errors of any status, which their message tells.
ANY_ERROR = ("APIStatusError", "APIError", "APICallError", "AI_APICallError", "HTTPStatusError", "ResponseError")
ERROR_ATTRIBUTES = ("error.type", "exception.type", "error.name", "error.code")

# Old conventions put each message into a separate event: event name -> role.
MESSAGE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.developer.message": "developer",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE_EVENT = "gen_ai.choice"
# The same events in one attribute, as a list; and the whole of one in an attribute of it.
EVENTS = "events"
EVENT_CONTENT = "gen_ai.event.content"
# Events whose attributes belong to the call.
CONTENT_EVENTS = ("gen_ai.content.prompt", "gen_ai.content.completion", "gen_ai.client.inference.operation.details")
