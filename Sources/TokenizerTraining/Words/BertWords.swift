// Words of WordPiece tokenizers: what BERT's normalizer and pre-tokenizer make of a line.
import Foundation

/// Text as BERT reads it: control characters removed, Chinese characters apart, and perhaps small letters without
/// accents; then words between white space, with every punctuation mark alone.
struct BertWords: WordSplitter {
  var lowercases = true

  func forEachWord(in line: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    var word: [UInt8] = []
    func emit() {
      if !word.isEmpty { word.withUnsafeBufferPointer(body) }
      word.removeAll(keepingCapacity: true)
    }
    func add(_ scalar: Unicode.Scalar) {
      if scalar.properties.isWhitespace { return emit() }
      let isAlone = scalar.isBertPunctuation
      if isAlone { emit() }
      UTF8.encode(scalar).map { word.append(contentsOf: $0) }
      if isAlone { emit() }
    }
    for scalar in normalized(String(decoding: line, as: UTF8.self)).unicodeScalars { add(scalar) }
    emit()
  }

  private func normalized(_ line: String) -> String {
    var clean = String.UnicodeScalarView()
    for scalar in line.unicodeScalars where !scalar.isBertControl {
      // What is alone has spaces around it, in which words end.
      if scalar.isChinese { clean.append(" ") }
      clean.append(scalar)
      if scalar.isChinese { clean.append(" ") }
    }
    guard lowercases else { return String(clean) }
    let text = String(clean)
    var small = String.UnicodeScalarView()
    let decomposed = text.utf8.allSatisfy { $0 < 0x80 } ? text : text.decomposedStringWithCanonicalMapping
    for scalar in decomposed.unicodeScalars where scalar.properties.generalCategory != .nonspacingMark {
      small.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
    }
    return String(small)
  }
}

extension Unicode.Scalar {
  /// ASCII's marks and symbols, and punctuation of all scripts.
  fileprivate var isBertPunctuation: Bool {
    if isASCII { return (0x21...0x7E).contains(value) && !properties.isAlphabetic && !(0x30...0x39).contains(value) }
    switch properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      return true
    default: return false
    }
  }

  /// What BERT drops: controls and format characters except tab and line breaks, private use, U+FFFD.
  fileprivate var isBertControl: Bool {
    if value == 0x09 || value == 0x0A || value == 0x0D { return false }
    if value == 0xFFFD { return true }
    switch properties.generalCategory {
    case .control, .format, .privateUse: return true
    default: return false
    }
  }

  /// The blocks that BERT takes for Chinese.
  fileprivate var isChinese: Bool {
    switch value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      return true
    default: return false
    }
  }
}
