// What is learnt from must not be what is measured on: a corpus in two parts.
import Foundation

/// A part of a corpus, for training or for validation.
public struct CorpusPart: Sendable {
  public let corpus: TokenCorpus
  /// Where the documents of this part, or what it has of them, lie in the corpus.
  let segments: [Range<Int>]
  public let tokenCount: Int
  /// Bytes of text in UTF-8, for bits per byte.
  public let byteCount: Int

  public var documentCount: Int { segments.count }
}

extension TokenCorpus {
  /// With fewer documents than this, each is divided.
  public static let fewDocuments = 100

  /// The corpus in two parts.
  ///
  /// A document's hash decides where it goes, so that one that is for validation remains so when others are added.
  /// Where there are fewer than ``fewDocuments`` documents, that would be a matter of luck; then the last share of
  /// every document's tokens is for validation.
  /// - Parameter validationFraction: 0 ..< 1, the share for validation; 0 leaves nothing for it.
  /// - Throws: ``TrainingDataError`` for a fraction outside of that, for one that leaves a part without text, and for
  ///   damaged files.
  public func parts(
    validationFraction: Double
  ) throws(TrainingDataError) -> (training: CorpusPart, validation: CorpusPart) {
    guard 0..<1 ~= validationFraction else {
      throw TrainingDataError(message: "the share for validation is \(validationFraction); expected 0 ..< 1")
    }
    var training = PartSum(), validation = PartSum()
    if validationFraction == 0 {
      for document in 0..<documentCount { training.add(starts[document]..<starts[document + 1], byteCounts[document]) }
    } else if documentCount < Self.fewDocuments {
      for document in 0..<documentCount {
        let all = starts[document]..<starts[document + 1]
        let cut = all.upperBound - Int((Double(all.count) * validationFraction).rounded())
        let bytes = min(byteCounts[document], try textBytes(cut..<all.upperBound))
        training.add(all.lowerBound..<cut, byteCounts[document] - bytes)
        validation.add(cut..<all.upperBound, bytes)
      }
    } else {
      for document in 0..<documentCount {
        let range = starts[document]..<starts[document + 1]
        if Double(hashes[document]) * 0x1p-64 < validationFraction {
          validation.add(range, byteCounts[document])
        } else {
          training.add(range, byteCounts[document])
        }
      }
    }
    guard !training.segments.isEmpty, validationFraction == 0 || !validation.segments.isEmpty else {
      throw TrainingDataError(
        path: path,
        message: "\(tokenCount) tokens in \(documentCount) documents leave nothing for training or nothing for "
          + "validation if a share of \(validationFraction) is for it")
    }
    return (part(training), part(validation))
  }

  private struct PartSum {
    var segments: [Range<Int>] = []
    var tokens = 0
    var bytes = 0

    mutating func add(_ range: Range<Int>, _ byteCount: Int) {
      guard !range.isEmpty else { return }
      segments.append(range)
      tokens += range.count
      bytes += byteCount
    }
  }

  private func part(_ sum: PartSum) -> CorpusPart {
    CorpusPart(corpus: self, segments: sum.segments, tokenCount: sum.tokens, byteCount: sum.bytes)
  }

  /// The bytes of text that tokens stand for.
  private func textBytes(_ range: Range<Int>) throws(TrainingDataError) -> Int {
    var sum = 0, start = range.lowerBound, known: [Int32: Int] = [:]
    while start < range.upperBound {
      let end = min(start + 1 << 20, range.upperBound)
      for id in try tokens(start..<end) {
        if let count = known[id] {
          sum += count
        } else {
          let count = tokenizer.kinds[Int(id)] == .control ? 0 : tokenizer.bytes(of: id).count
          known[id] = count
          sum += count
        }
      }
      start = end
    }
    return sum
  }
}
