// Checkpoints rarely say which tokens end a turn; their spellings do. The spellings and exceptions are llama.cpp's.

/// Spellings that mean the same in every vocabulary that has them, and what follows for kinds and ends of generation.
enum WellKnownTokens {
  private static let endOfGeneration = [
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
    "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
    "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~[",
  ]
  /// Fill-in-the-middle tokens of which only the first present ends a generation.
  private static let fillInTheMiddleEnds = [
    ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
    ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"],
    ["<|file_sep|>"],
  ]
  private static let fillInTheMiddle = [
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>",
    "<|prefix|>", "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
    "<|code_suffix|>", "<|suffix|>", "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>",
    "▁<MID>", "<|code_middle|>", "<|middle|>",
  ]
  /// Parts of the gpt-oss message format that a reader of its output has to see.
  private static let visible = ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"]

  /// Corrects `kinds` and returns the ids that end a generation, ascending.
  static func resolve(_ vocabulary: TokenizerVocabulary, index: PieceIndex, kinds: inout [TokenKind]) -> [Int32] {
    func id(_ spelling: String) -> Int32? { index.id(of: spelling.utf8) }
    var ends: Set<Int32> = []

    for id in fillInTheMiddleEnds.compactMap({ $0.lazy.compactMap(id).first }) + endOfGeneration.compactMap(id) {
      ends.insert(id)
      kinds[Int(id)] = .control
    }
    for id in fillInTheMiddle.compactMap(id) { kinds[Int(id)] = .control }
    for id in visible.compactMap(id) { kinds[Int(id)] = .userDefined }

    ends.formUnion([vocabulary.endOfSequence, vocabulary.endOfTurn, vocabulary.endOfMessage].compactMap { $0 })
    ends.formUnion(vocabulary.furtherEndOfGeneration)

    func isEnd(_ spelling: String) -> Bool { id(spelling).map(ends.contains) ?? false }
    // Harmony and Solar end messages, not turns, with <|end|>.
    let hasCall = isEnd("<|call|>") || isEnd("<|calls|>")
    if hasCall, isEnd("<|return|>") || isEnd("<|flush|>"), let end = id("<|end|>"), ends.contains(end) {
      ends.remove(end)
      kinds[Int(end)] = .userDefined
    }
    // In Gemma 4 and PLaMo </s> is text.
    if isEnd("<|tool_response>") || isEnd("<|plamo:eos|>"), let end = id("</s>"), ends.contains(end) {
      ends.remove(end)
      kinds[Int(end)] = .normal
    }
    return ends.sorted()
  }
}
