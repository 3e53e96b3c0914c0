// Any checkpoint as a GGUF file.
import Tensors
import Tokenization

extension GGUFWriter {
  /// A file with a checkpoint's metadata and tensors. Matrices keep their data type, vectors become `f32`, as readers
  /// of GGUF expect. Tensors are read when the file is written, one after another.
  /// - Throws: ``CheckpointError`` for what a GGUF file cannot hold.
  public init(path: String, of checkpoint: any Checkpoint) throws {
    self.init(path: path)
    metadata = GGUFMetadata(path: path)
    for key in checkpoint.metadata.keys {
      if let value = checkpoint.metadata[key] { metadata.set(key, value) }
    }
    for name in checkpoint.tensorNames {
      let tensor = try checkpoint.tensor(required: name)
      let becomesFloat = tensor.shape.count < 2 && !tensor.dataType.isQuantized
      try addTensor(name, dataType: becomesFloat ? .f32 : tensor.dataType, shape: tensor.shape) { append in
        let tensor = try checkpoint.tensor(required: name)
        guard becomesFloat else { return try withExtendedLifetime(tensor) { try append(tensor.bytes) } }
        try tensor.floats(path: checkpoint.path).withUnsafeBytes(append)
      }
    }
  }
}

extension GGUFMetadata {
  /// Sets the keys of a tokenizer; `GGUFFile.tokenizerVocabulary()` reads them back.
  public mutating func set(_ vocabulary: TokenizerVocabulary) {
    let key = { "tokenizer.ggml." + $0 }
    set(key("model"), .string(vocabulary.model.rawValue))
    if !vocabulary.preTokenizer.isEmpty { set(key("pre"), .string(vocabulary.preTokenizer)) }
    set(key("tokens"), .array(GGUFArray(vocabulary.pieces)))
    if !vocabulary.kinds.isEmpty {
      set(key("token_type"), .array(GGUFArray(vocabulary.kinds.map { Int32($0.rawValue) })))
    }
    if !vocabulary.scores.isEmpty { set(key("scores"), .array(GGUFArray(vocabulary.scores))) }
    if vocabulary.merges.count > 0 { set(key("merges"), .array(GGUFArray(vocabulary.merges))) }
    if !vocabulary.characterMap.isEmpty {
      set(key("precompiled_charsmap"), .array(GGUFArray(vocabulary.characterMap)))
    }
    let isWordPiece = vocabulary.model == .wordPiece
    let ids: [(String, Int32?)] = [
      ("cls", isWordPiece ? vocabulary.beginningOfSequence : nil), ("seperator", isWordPiece ? vocabulary.endOfSequence : nil),
      ("bos", vocabulary.beginningOfSequence), ("eos", vocabulary.endOfSequence), ("eot", vocabulary.endOfTurn),
      ("eom", vocabulary.endOfMessage), ("unknown", vocabulary.unknown), ("padding", vocabulary.padding),
    ]
    for (name, id) in ids {
      if let id, id >= 0 { set(key(name + "_token_id"), .uint32(UInt32(id))) }
    }
    let flags: [(String, Bool?)] = [
      ("add_bos_token", vocabulary.addsBeginningOfSequence), ("add_eos_token", vocabulary.addsEndOfSequence),
      ("add_space_prefix", vocabulary.addsSpacePrefix), ("remove_extra_whitespaces", vocabulary.removesExtraSpaces),
      ("normalizer.lowercase", vocabulary.lowercases), ("normalizer.strip_accents", vocabulary.stripsAccents),
    ]
    for (name, flag) in flags {
      if let flag { set(key(name), .bool(flag)) }
    }
  }
}
