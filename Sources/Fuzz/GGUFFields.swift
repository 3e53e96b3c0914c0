// Damage that knows the format reaches further: where in a valid file the lengths, counts, types and offsets are.

/// A number in the head of a GGUF file.
struct GGUFField {
  enum Kind {
    case count, length, type, axes, dimension, offset, value
  }
  let kind: Kind
  let offset: Int
  let width: Int
}

/// The numbers and pairs of a file's head.
struct GGUFFields {
  private(set) var fields: [GGUFField] = []
  /// Where each metadata pair lies.
  private(set) var pairs: [Range<Int>] = []
  /// Where each tensor's description lies.
  private(set) var tensors: [Range<Int>] = []
  static let tensorCountOffset = 8
  static let pairCountOffset = 16

  /// - Parameter bytes: a file that the writer made.
  init(_ bytes: [UInt8]) {
    var walk = Walk(bytes: bytes)
    walk.at = Self.tensorCountOffset
    let tensorCount = walk.take(.count, 8), pairCount = walk.take(.count, 8)
    for _ in 0..<pairCount {
      let start = walk.at
      walk.at += walk.take(.length, 8)
      walk.value(walk.take(.type, 4))
      pairs.append(start..<walk.at)
    }
    for _ in 0..<tensorCount {
      let start = walk.at
      walk.at += walk.take(.length, 8)
      for _ in 0..<walk.take(.axes, 4) { _ = walk.take(.dimension, 8) }
      _ = walk.take(.type, 4)
      _ = walk.take(.offset, 8)
      tensors.append(start..<walk.at)
    }
    fields = walk.fields
  }

  private struct Walk {
    let bytes: [UInt8]
    var at = 0
    var fields: [GGUFField] = []

    mutating func take(_ kind: GGUFField.Kind, _ width: Int) -> Int {
      fields.append(GGUFField(kind: kind, offset: at, width: width))
      let number = (0..<width).reduce(UInt64(0)) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
      at += width
      return Int(truncatingIfNeeded: number)
    }

    /// Types are numbered as in the specification.
    mutating func value(_ type: Int) {
      let widths = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]
      switch type {
      case 8: at += take(.length, 8)
      case 9:
        let element = take(.type, 4), count = take(.count, 8)
        // A few elements stand for all.
        if element == 8 {
          for index in 0..<count {
            let length = take(.length, 8)
            at += length
            if index > 3 { fields.removeLast() }
          }
        } else {
          if count > 0 { fields.append(GGUFField(kind: .value, offset: at, width: widths[element])) }
          at += count * widths[element]
        }
      default: _ = take(.value, widths[type])
      }
    }
  }

  /// Changes a file in a way that respects its structure.
  func damage(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    switch random.below(8) {
    case 0: repeatEntry(&bytes, random.pick(pairs), countAt: Self.pairCountOffset)
    case 1 where !tensors.isEmpty: repeatEntry(&bytes, random.pick(tensors), countAt: Self.tensorCountOffset)
    case 2: nest(&bytes, &random)
    default:
      let field = random.pick(fields), number: UInt64
      switch field.kind {
      case .type: number = random.chance(3) ? random.pick(edgeNumbers) : UInt64(random.below(45))
      case .axes: number = UInt64(random.below(6))
      case .offset: number = random.chance(2) ? random.pick(edgeNumbers) : UInt64(random.below(64) * 32)
      default: number = random.pick(edgeNumbers)
      }
      bytes.overwrite(at: field.offset, with: number, width: field.width)
    }
  }

  private func repeatEntry(_ bytes: inout [UInt8], _ range: Range<Int>, countAt place: Int) {
    guard range.upperBound <= bytes.count else { return }
    bytes.insert(contentsOf: Array(bytes[range]), at: range.upperBound)
    bytes[place] &+= 1
  }

  /// Turns a value into arrays of arrays.
  private func nest(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    guard let type = fields.filter({ $0.kind == .type }).randomElement(using: &random), type.offset < bytes.count else {
      return
    }
    var levels: [UInt8] = []
    for _ in 0...random.below(random.chance(3) ? 1000 : 6) {
      levels += [9, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    }
    bytes.insert(contentsOf: levels.dropFirst(4), at: type.offset)
  }
}
