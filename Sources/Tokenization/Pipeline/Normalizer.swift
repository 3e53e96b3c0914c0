// What is done to text before it is cut into words: the normalizers of Hugging Face's `tokenizer.json`.

/// One step, or several, that change text.
indirect enum Normalizer: Sendable {
  case sequence([Normalizer])
  case form(NormalizationForm)
  case lowercase
  case strip(left: Bool, right: Bool)
  /// Removes marks that combine with the character before.
  case stripAccents
  case bert(BERTNormalizer)
  case prepend([UInt8])
  case append([UInt8])
  case replace(TextPattern, [UInt8])
  case precompiled(CharacterMap)
  /// The clean-up that machine translation models of SentencePiece were trained with.
  case machineTranslation
  case byteLevel
  case sentencePiece(SentencePieceNormalizer)

  func normalize(_ text: inout AlignedText) {
    switch self {
    case .sequence(let steps): for step in steps { step.normalize(&text) }
    case .form(let form): form.normalize(&text)
    case .lowercase: text.lowercase()
    case .strip(let left, let right): text.strip(left: left, right: right)
    case .stripAccents: text.filter { !TextClasses(of: $0).contains(.combiningMark) }
    case .bert(let normalizer): normalizer.normalize(&text)
    case .prepend(let prefix): text.prepend(prefix)
    case .append(let suffix): text.append(suffix)
    case .replace(let pattern, let content): text.replace(pattern, with: content)
    case .precompiled(let map): map.normalize(&text)
    case .machineTranslation:
      text.filter { code in
        switch code {
        case 0x1...0x8, 0xB, 0xE...0x1F, 0x7F, 0x8F, 0x9F: false
        default: true
        }
      }
      text.map { code in
        switch code {
        case 0x9, 0xA, 0xC, 0xD, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: 0x20
        default: code
        }
      }
    case .byteLevel: text.spellBytes()
    case .sentencePiece(let normalizer): normalizer.normalize(&text)
    }
  }
}

extension Normalizer {
  /// Whether these bytes are sure to stay as they are.
  func leaves(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    switch self {
    case .sequence(let steps): steps.allSatisfy { $0.leaves(bytes) }
    case .form(let form): !form.mayChange(bytes)
    default: bytes.isEmpty
    }
  }
}

/// What BERT does to text.
struct BERTNormalizer: Sendable {
  var cleansText = true
  var separatesChinese = true
  var stripsAccents = true
  var lowercases = true

  func normalize(_ text: inout AlignedText) {
    if cleansText {
      text.filter { $0 != 0 && $0 != 0xFFFD && !TextClasses(of: $0).contains(.removed) }
      text.map { code in
        code < 0x80
          ? (code >= 0x9 && code <= 0xD ? 0x20 : code) : TextClasses(of: code).contains(.whiteSpace) ? 0x20 : code
      }
    }
    if separatesChinese { separateChinese(&text) }
    if stripsAccents {
      NormalizationForm.nfd.normalize(&text)
      text.filter { !TextClasses(of: $0).contains(.nonspacingMark) }
    }
    if lowercases { text.lowercase() }
  }

  private func separateChinese(_ text: inout AlignedText) {
    guard text.containsScalar(Self.isChinese) else { return }
    text.rewrite { reader, writer in
      while let (code, _) = reader.next() {
        if Self.isChinese(code) {
          writer.append(0x20, change: 0)
          writer.append(code, change: 1)
          writer.append(0x20, change: 1)
        } else {
          writer.append(code, change: 0)
        }
      }
    }
  }

  private static func isChinese(_ code: UInt32) -> Bool {
    switch code {
    case 0..<0x3400: false
    case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0x2F800...0x2FA1F: true
    default: false
    }
  }
}

extension AlignedText {
  /// Whether a character beyond ASCII, or any at all, answers to `test`; runs of ASCII are passed over quickly if no
  /// ASCII character does.
  @inline(__always)
  func containsScalar(_ test: (UInt32) -> Bool) -> Bool {
    bytes.withUnsafeBufferPointer { bytes in
      var reader = ScalarReader(bytes)
      while let (code, _) = reader.next() { if test(code) { return true } }
      return false
    }
  }

  /// Keeps the characters for which `keep` is true.
  mutating func filter(_ keep: (UInt32) -> Bool) {
    guard containsScalar({ !keep($0) }) else { return }
    rewrite { reader, writer in
      // A character is written when it is known how many after it are left out.
      var last: UInt32?
      var removed = 0
      while let (code, _) = reader.next() {
        if !keep(code) {
          removed += 1
          continue
        }
        if let last { writer.append(last, change: -removed) } else { writer.skip(removed) }
        last = code
        removed = 0
      }
      if let last { writer.append(last, change: -removed) }
    }
  }

  /// Replaces every character by one other.
  @inline(__always)
  mutating func map(_ transform: (UInt32) -> UInt32) {
    guard containsScalar({ transform($0) != $0 }) else { return }
    rewrite { reader, writer in
      while let (code, _) = reader.next() { writer.append(transform(code), change: 0) }
    }
  }

  mutating func lowercase() {
    let mapping = ScalarMapping.lowercase
    let isCapital = { (code: UInt32) in code < 0x80 ? code &- 0x41 < 26 : mapping.changes(code) }
    guard containsScalar(isCapital) else { return }
    rewrite { reader, writer in
      while let (code, _) = reader.next() {
        if code < 0x80 {
          writer.append(code &- 0x41 < 26 ? code | 0x20 : code, change: 0)
        } else if let lower = mapping(code) {
          var change = 0
          for part in lower {
            writer.append(part, change: change)
            change = 1
          }
        } else {
          writer.append(code, change: 0)
        }
      }
    }
  }

  mutating func strip(left: Bool, right: Bool) {
    var count = 0
    var leading = 0
    var trailing = 0
    bytes.withUnsafeBufferPointer { bytes in
      var reader = ScalarReader(bytes)
      while let (code, _) = reader.next() {
        let isSpace = TextClasses(of: code).contains(.whiteSpace)
        if isSpace, leading == count { leading += 1 }
        trailing = isSpace ? trailing + 1 : 0
        count += 1
      }
    }
    if !left { leading = 0 }
    if !right { trailing = 0 }
    guard leading > 0 || trailing > 0 else { return }
    rewrite { reader, writer in
      writer.skip(leading)
      var number = 0
      while let (code, _) = reader.next() {
        if number >= leading, number < count - trailing { writer.append(code, change: 0) }
        number += 1
      }
    }
  }

  mutating func prepend(_ prefix: [UInt8]) {
    guard !bytes.isEmpty, !prefix.isEmpty else { return }
    bytes.insert(contentsOf: prefix, at: 0)
    if isAligned { alignments.insert(contentsOf: repeatElement(alignments[0], count: prefix.count), at: 0) }
  }

  mutating func append(_ suffix: [UInt8]) {
    guard !suffix.isEmpty else { return }
    bytes += suffix
    guard isAligned else { return }
    let last = alignments.last ?? Alignment(start: origin, end: origin)
    alignments.append(contentsOf: repeatElement(last, count: suffix.count))
  }

  /// Replaces each match by `content`, which is aligned with the last character replaced.
  mutating func replace(_ pattern: TextPattern, with content: [UInt8]) {
    let source = self
    var result = AlignedText(like: self, capacity: bytes.count + bytes.count / 4)
    var last = 0
    source.bytes.withUnsafeBufferPointer { bytes in
      pattern.forEachMatch(in: bytes, 0..<bytes.count) { start, end in
        result.append(last..<start, of: source)
        let alignment = source.isAligned && end > 0 ? source.alignments[end - 1] : Alignment(start: origin, end: origin)
        result.append(content, aligned: alignment)
        last = end
      }
    }
    if last == 0, result.bytes.isEmpty { return }
    result.append(last..<source.bytes.count, of: source)
    self = result
  }

  /// Spells every byte in GPT-2's alphabet.
  mutating func spellBytes() {
    let source = self
    var result = AlignedText(like: self, capacity: bytes.count * 2)
    for (index, byte) in source.bytes.enumerated() {
      let before = result.bytes.count
      ByteAlphabet.shared.appendSpelling(of: byte, to: &result.bytes)
      if isAligned { for _ in before..<result.bytes.count { result.alignments.append(source.alignments[index]) } }
    }
    self = result
  }
}
