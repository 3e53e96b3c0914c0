// Large models come as `name-00001-of-00003.gguf` and its brothers; whichever is opened, all are found.

/// Which part of a split file a file says it is (keys `split.*`, as `llama-gguf-split` writes them).
struct SplitPosition {
  static let countKey = "split.count"
  static let numberKey = "split.no"
  static let tensorCountKey = "split.tensors.count"

  /// Parts in all, at least 2.
  let count: Int
  /// This part's number, from 0.
  let number: Int

  /// Nil for a file that is whole.
  init?(_ metadata: GGUFMetadata) throws(CheckpointError) {
    guard let count = try metadata.int(Self.countKey, in: 0...65_535), count > 1 else { return nil }
    self.count = count
    number = try metadata.int(required: Self.numberKey, in: 0...(count - 1))
  }

  /// The parts in order, of which `opened` is one.
  func allParts(of opened: GGUFFile.Part) throws(CheckpointError) -> [GGUFFile.Part] {
    let suffix = Self.suffix(number: number, count: count)
    guard opened.path.hasSuffix(suffix) else {
      throw CheckpointError(
        path: opened.path, field: "key \(Self.numberKey)",
        message: "this is part \(number + 1) of \(count), so its name should end in \(suffix)")
    }
    let stem = opened.path.dropLast(suffix.count)
    var parts: [GGUFFile.Part] = []
    for index in 0..<count {
      parts.append(index == number ? opened : try part(index, path: stem + Self.suffix(number: index, count: count)))
    }
    let announced = try parts[0].contents.metadata.int(required: Self.tensorCountKey)
    let found = parts.reduce(0) { $0 + $1.contents.tensors.count }
    guard announced == found else {
      throw parts[0].contents.metadata.error(
        Self.tensorCountKey, "announces \(announced) tensors, but the \(count) parts hold \(found)")
    }
    return parts
  }

  private func part(_ index: Int, path: String) throws(CheckpointError) -> GGUFFile.Part {
    let part = try GGUFFile.Part(path: path)
    guard let position = try SplitPosition(part.contents.metadata), position.count == count, position.number == index
    else {
      throw CheckpointError(
        path: path, field: "key \(Self.numberKey)",
        message: "the file does not say that it is part \(index + 1) of \(count)")
    }
    return part
  }

  private static func suffix(number: Int, count: Int) -> String {
    func fiveDigits(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
    return "-\(fiveDigits(number + 1))-of-\(fiveDigits(count)).gguf"
  }
}
