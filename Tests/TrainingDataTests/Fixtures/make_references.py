"""A small tokenizer with a chat template, and what transformers makes of conversations with it.

python make_references.py   (needs transformers, tokenizers, jinja2); writes chat/ and references.json beside itself.
"""
import json
import os

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = [
    "In the beginning God created the heaven and the earth. And the earth was without form, and void.",
    "You are a helpful assistant. What is the capital of France? The capital of France is Paris.",
    "### Instruction:\nWrite a short poem about the sea.\n\n### Response:\nThe sea, the sea, the open sea!",
    "대한민국의 수도는 서울입니다. 나는 학교에 갑니다.",
    "assistant user system\nHello, world! How are you today? I am fine, thank you. Yes. No. Maybe so.",
]

# SmolLM2's template; the second marks what the assistant writes.
HEAD = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
)
TAIL = "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
PLAIN = HEAD + "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}" + TAIL
MARKED = (
    HEAD
    + "{% if message['role'] == 'assistant' %}{{ '<|im_start|>assistant\n' }}"
    + "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    + "{% else %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endif %}"
    + TAIL
)


def turns(*texts, system=None):
    roles = ["user", "assistant"]
    head = [{"role": "system", "content": system}] if system else []
    return head + [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


CONVERSATIONS = [
    turns("What is the capital of France?", "The capital of France is Paris."),
    turns("Hello!", "Hello, world!", "How are you?", "I am fine, thank you.", system="Answer in one word."),
    turns("나는 학교에 갑니다", "대한민국의 수도는 서울입니다."),
    turns("the sea", "\n\nThe sea,\n  the open sea! ", "Yes", " ", "more", "the end 🌊"),
    turns("the same", "the same", "the same", "the same"),
    [{"role": "assistant", "content": "I begin."}, {"role": "user", "content": "Yes."}],
]


def main():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>",
        clean_up_tokenization_spaces=False, model_max_length=2048,
    )
    fast.save_pretrained(os.path.join(HERE, "chat"))
    references = {"plain": PLAIN, "marked": MARKED, "conversations": [], "texts": []}
    for messages in CONVERSATIONS:
        result = fast.apply_chat_template(
            messages, chat_template=MARKED, return_assistant_tokens_mask=True, return_dict=True
        )
        bare = fast.apply_chat_template(messages, chat_template=PLAIN, return_dict=True)
        assert result["input_ids"] == bare["input_ids"]
        references["conversations"].append(
            {"messages": messages, "ids": result["input_ids"], "mask": result["assistant_masks"]}
        )
    for text in TEXT:
        references["texts"].append({"text": text, "ids": fast(text, add_special_tokens=False)["input_ids"]})
    with open(os.path.join(HERE, "references.json"), "w") as file:
        json.dump(references, file, ensure_ascii=False)
        file.write("\n")


main()
