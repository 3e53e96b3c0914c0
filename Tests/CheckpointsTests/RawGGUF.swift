// Builds files that no honest writer would: every field is whatever a test says.
import Foundation

/// A GGUF file put together field by field.
struct RawGGUF {
  var magic = Array("GGUF".utf8)
  var version: UInt32 = 3
  /// Nil: as many as there are.
  var tensorCount: UInt64?
  var pairCount: UInt64?
  var pairs: [[UInt8]] = []
  var tensors: [[UInt8]] = []
  var alignment = 32
  var data: [UInt8] = []

  /// A tensor of 8 floats, "a", and one pair: what each hostile file changes one thing of.
  static func valid() -> RawGGUF {
    var file = RawGGUF()
    file.pairs = [pair("general.architecture", type: 8, string("llama"))]
    file.tensors = [tensor("a")]
    file.data = [UInt8](repeating: 0, count: 32)
    return file
  }

  var bytes: [UInt8] {
    var bytes = magic + Self.number(version)
    bytes += Self.number(tensorCount ?? UInt64(tensors.count)) + Self.number(pairCount ?? UInt64(pairs.count))
    bytes += (pairs + tensors).joined()
    if !tensors.isEmpty { bytes += [UInt8](repeating: 0, count: (alignment - bytes.count % alignment) % alignment) }
    return bytes + data
  }

  static func number(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian, Array.init)
  }

  static func string(_ text: String, length: UInt64? = nil) -> [UInt8] {
    number(length ?? UInt64(text.utf8.count)) + Array(text.utf8)
  }

  static func pair(_ key: String, type: UInt32, _ value: [UInt8]) -> [UInt8] {
    string(key) + number(type) + value
  }

  static func array(of type: UInt32, count: UInt64, _ elements: [UInt8]) -> [UInt8] {
    number(type) + number(count) + elements
  }

  static func arrayPair(_ key: String, of type: UInt32, count: UInt64, _ elements: [UInt8]) -> [UInt8] {
    pair(key, type: 9, array(of: type, count: count, elements))
  }

  static func tensor(
    _ name: String, axes: UInt32? = nil, shape: [UInt64] = [8], type: UInt32 = 0, offset: UInt64 = 0
  ) -> [UInt8] {
    string(name) + number(axes ?? UInt32(shape.count)) + shape.flatMap { number($0) } + number(type) + number(offset)
  }
}
