"""One conversation, by three frameworks' own runners with scripted models: what each asks its model, and stores."""

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Protocol

import agents
from agents.testing import ScriptedModel, assistant_message, function_call
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, message_to_dict
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from pydantic_ai import Agent
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from sessionstore import SQLSessionStore
from sessionstore.adapters.langchain import SQLChatMessageHistory
from sessionstore.adapters.openai_agents import SQLSession
from sessionstore.adapters.pydantic_ai import MessageHistory
from tests.adapters.langchain.build import Scripted

Said = tuple[str, ...]
"""What was said: by whom and a text, an image, reasoning, a call (id, tool, arguments), or a result (id, text)."""

CITIES = ("Oslo", "Rome")


def rain(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


def call_id(turn: str, city: str) -> str:
    """Return the id of a call."""
    return f"call_{turn}_{city}"


def turn_said(turn: str) -> list[Said]:
    """Return what is said in a turn: a question, calls at once, their results, an answer."""
    return [
        ("user", f"Question {turn}"),
        *(("call", call_id(turn, city), "rain", json.dumps({"city": city})) for city in CITIES),
        *(("result", call_id(turn, city), rain(city)) for city in CITIES),
        ("assistant", f"Answer {turn}"),
    ]


class Speaker(Protocol):
    """A framework's way of having a turn in a session, and of telling its history."""

    async def turn(self, store: SQLSessionStore, turn: str) -> list[Said]:
        """Have a turn; return what the model was asked last, without its own answer."""
        ...

    async def history(self, store: SQLSessionStore) -> list[Said]:
        """Return the history as the framework's model is given it."""
        ...

    async def dumps(self, store: SQLSessionStore) -> list[str]:
        """Return the history as the framework dumps it."""
        ...


class OpenAI:
    """The OpenAI Agents SDK's Runner."""

    async def turn(self, store: SQLSessionStore, turn: str) -> list[Said]:
        called = [function_call("rain", {"city": city}, call_id=call_id(turn, city)) for city in CITIES]
        model = ScriptedModel([called, [assistant_message(f"Answer {turn}")]])
        agent = agents.Agent(name="a", model=model, tools=[agents.function_tool(rain)])
        await agents.Runner.run(agent, f"Question {turn}", session=SQLSession("s", store=store))
        return self._said(model.calls[-1].input)

    async def history(self, store: SQLSessionStore) -> list[Said]:
        return self._said(await SQLSession("s", store=store).get_items())

    async def dumps(self, store: SQLSessionStore) -> list[str]:
        return [json.dumps(item) for item in await SQLSession("s", store=store).get_items()]

    def _said(self, items: Iterable[Any]) -> list[Said]:
        return [said for item in items for said in self._said_in(item)]

    def _said_in(self, item: Any) -> Iterable[Said]:
        if item.get("type") == "function_call":
            yield ("call", item["call_id"], item["name"], json.dumps(json.loads(item["arguments"])))
        elif item.get("type") == "function_call_output":
            yield ("result", item["call_id"], item["output"])
        else:
            yield from _said_in_blocks(item["role"], item["content"])


class Pydantic:
    """Pydantic AI's Agent."""

    async def turn(self, store: SQLSessionStore, turn: str) -> list[Said]:
        asked: list[list[ModelMessage]] = []

        def model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
            asked.append(messages)
            if len(asked) > 1:
                return ModelResponse(parts=[TextPart(f"Answer {turn}")])
            return ModelResponse(parts=[ToolCallPart("rain", {"city": city}, call_id(turn, city)) for city in CITIES])

        agent = Agent(FunctionModel(model), tools=[rain])
        history = MessageHistory(store, "s")
        result = await agent.run(f"Question {turn}", message_history=await history.load())
        await history.save(result.new_messages())
        return self._said(asked[-1])

    async def history(self, store: SQLSessionStore) -> list[Said]:
        return self._said(await MessageHistory(store, "s").load())

    async def dumps(self, store: SQLSessionStore) -> list[str]:
        loaded = await MessageHistory(store, "s").load()
        return [json.dumps(item) for item in ModelMessagesTypeAdapter.dump_python(loaded, mode="json")]

    def _said(self, messages: Iterable[ModelMessage]) -> list[Said]:
        return [said for message in messages for part in message.parts for said in self._said_in(part)]

    def _said_in(self, part: Any) -> Iterable[Said]:
        match part:
            case ToolCallPart():
                yield ("call", part.tool_call_id, part.tool_name, json.dumps(part.args_as_dict()))
            case ToolReturnPart():
                yield ("result", part.tool_call_id, str(part.content))
            case SystemPromptPart():
                yield ("system", part.content)
            case ThinkingPart():
                yield ("reasoning", part.content)
            case UserPromptPart():
                for item in [part.content] if isinstance(part.content, str) else part.content:
                    yield ("user", item) if isinstance(item, str) else ("image", *_image(item))
            case _:
                yield ("assistant", part.content)


def _image(item: Any) -> Said:
    if isinstance(item, BinaryContent):
        return (f"data:{item.media_type};base64,{b64encode(item.data).decode()}",)
    return (item.url,)


class LangChain:
    """LangChain's RunnableWithMessageHistory, around a model and its tools."""

    async def turn(self, store: SQLSessionStore, turn: str) -> list[Said]:
        calls: list[Any] = [
            {"name": "rain", "args": {"city": city}, "id": call_id(turn, city), "type": "tool_call"} for city in CITIES
        ]
        model = Scripted(answers=[AIMessage("", tool_calls=calls), AIMessage(f"Answer {turn}")])

        async def run(messages: list[BaseMessage]) -> list[BaseMessage]:
            first = await model.ainvoke(messages)
            results = [
                ToolMessage(rain(**call["args"]), tool_call_id=call["id"], name=call["name"])
                for call in first.tool_calls
            ]
            return [first, *results, await model.ainvoke([*messages, first, *results])]

        chat = RunnableWithMessageHistory(
            RunnableLambda(run), lambda session_id: SQLChatMessageHistory(session_id, store=store)
        )
        await chat.ainvoke([HumanMessage(f"Question {turn}")], {"configurable": {"session_id": "s"}})
        return self._said(model.asked[-1])

    async def history(self, store: SQLSessionStore) -> list[Said]:
        return self._said(await SQLChatMessageHistory("s", store=store).aget_messages())

    async def dumps(self, store: SQLSessionStore) -> list[str]:
        loaded = await SQLChatMessageHistory("s", store=store).aget_messages()
        return [json.dumps(message_to_dict(message)) for message in loaded]

    def _said(self, messages: Iterable[BaseMessage]) -> list[Said]:
        return [said for message in messages for said in self._said_in(message)]

    def _said_in(self, message: BaseMessage) -> Iterable[Said]:
        if isinstance(message, ToolMessage):
            yield ("result", message.tool_call_id, str(message.content))
            return
        if "reasoning_content" in message.additional_kwargs:
            yield ("reasoning", message.additional_kwargs["reasoning_content"])
        yield from _said_in_blocks(
            {"human": "user", "ai": "assistant"}.get(message.type, message.type), message.content
        )
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                yield ("call", call["id"] or "", call["name"], json.dumps(call["args"]))


def _said_in_blocks(role: str, content: Any) -> Iterable[Said]:
    """Give what the content of an OpenAI item or a LangChain message says."""
    for block in [{"text": content}] if isinstance(content, str) else content:
        image = block.get("image_url")
        if image is not None:
            yield ("image", image if isinstance(image, str) else image["url"])
        elif block.get("text"):
            yield (role, block["text"])


SPEAKERS: dict[str, Speaker] = {"openai": OpenAI(), "pydantic": Pydantic(), "langchain": LangChain()}
