// Words of Unigram tokenizers: spaces become visible and begin the words that follow them.
import Foundation

/// Text as SentencePiece cuts it: `▁` for every space, one more before a line that has none there, and a word from each
/// `▁` to the next.
struct MetaspaceWords: WordSplitter {
  /// Whether characters are replaced by their compatibility forms first (NFKC, https://unicode.org/reports/tr15/).
  var normalizes = false

  private static let mark: [UInt8] = [0xE2, 0x96, 0x81]

  func forEachWord(in line: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    if normalizes, line.contains(where: { $0 >= 0x80 }) {
      var text = String(decoding: line, as: UTF8.self).precomposedStringWithCompatibilityMapping
      text.withUTF8 { split($0, body) }
    } else {
      split(line, body)
    }
  }

  private func split(_ line: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    guard !line.isEmpty else { return }
    var word: [UInt8] = []
    func emit() {
      if !word.isEmpty { word.withUnsafeBufferPointer(body) }
      word.removeAll(keepingCapacity: true)
    }
    var at = 0
    while at < line.count {
      let isMark = line[at...].starts(with: Self.mark)
      if isMark || line[at] == 0x20 || at == 0 {
        emit()
        word += Self.mark
      }
      if isMark {
        at += 3
        continue
      }
      if line[at] != 0x20 { word.append(line[at]) }
      at += 1
    }
    emit()
  }
}
