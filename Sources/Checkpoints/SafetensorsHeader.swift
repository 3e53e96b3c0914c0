// Reads the head of one safetensors file, believing no number in it before checking it against what the file can hold.
//
// Format: https://github.com/huggingface/safetensors#format
import JSON
import OrderedCollections
import Tensors
import Tokenization

enum SafetensorsLimits {
  /// As in the safetensors library.
  static let headerBytes = 100_000_000
  /// More than any library makes.
  static let axes = 16
  static let metadataKey = "__metadata__"
}

/// What one file says of itself.
struct SafetensorsHeader {
  var metadata: [String: String] = [:]
  /// In the order of their bytes.
  var tensors: [SafetensorsTensor] = []

  private let path: String

  init(_ source: any ByteSource, path: String) throws(CheckpointError) {
    self.path = path
    let bytes = source.bytes
    let text = try text(bytes)
    let start = 8 + text.count
    let entries: OrderedDictionary<String, JSONValue>
    do {
      entries = try JSONField(JSONValue(parsing: text)).object()
    } catch {
      throw failure("header", error.message)
    }
    if let name = try JSONValue.repeatedName(in: text, of: entries.count) {
      throw failure("tensor \(name.printable)", "appears twice")
    }
    tensors.reserveCapacity(entries.count)
    for (name, value) in entries {
      do throws(JSONError) {
        if name == SafetensorsLimits.metadataKey {
          metadata = try Self.strings(JSONField(value, path: name))
        } else {
          let field = JSONField(value, path: "tensor \(name.printable)")
          tensors.append(try tensor(name, field, source: source, data: start..<bytes.count))
        }
      } catch {
        throw failure(error.field ?? "header", error.message)
      }
    }
    tensors.sort {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound) < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
    }
    try checkOrder(data: start..<bytes.count)
  }

  private func failure(_ field: String?, _ message: String) -> CheckpointError {
    CheckpointError(path: path, field: field, message: message)
  }

  /// The header's JSON, without its length.
  private func text(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) -> UnsafeRawBufferPointer {
    guard bytes.count >= 8 else {
      throw failure("header", "not a safetensors file: it has \(bytes.count) bytes, and the header's length takes 8")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= SafetensorsLimits.headerBytes else {
      throw failure(
        "header", "not a safetensors file: a header of \(length) bytes is announced, more than 100 million")
    }
    guard length <= bytes.count - 8 else {
      throw failure(
        "header",
        "\(length) bytes are announced, but \(bytes.count - 8) are left in the file; it is truncated or damaged")
    }
    let text = UnsafeRawBufferPointer(rebasing: bytes[8..<(8 + Int(length))])
    guard text.first == UInt8(ascii: "{") else {
      throw failure("header", "not a safetensors file: its header does not begin with '{'")
    }
    guard String(validating: text, as: UTF8.self) != nil else { throw failure("header", "is not UTF-8") }
    return text
  }

  private static func strings(_ field: JSONField) throws(JSONError) -> [String: String] {
    var strings: [String: String] = [:]
    for (key, value) in try field.object() {
      strings[key] = try JSONField(value, path: "\(field.path).\(key.printable)").string()
    }
    return strings
  }

  private func tensor(
    _ name: String, _ field: JSONField, source: any ByteSource, data: Range<Int>
  ) throws(JSONError) -> SafetensorsTensor {
    let typeName = try field.required("dtype").string()
    guard let elementType = SafetensorsElementType(rawValue: typeName) else {
      throw field.error("its type, \(typeName.printable), is not supported")
    }
    let shape = try field.required("shape").array().map { (axis) throws(JSONError) in try axis.int(in: 0 ... .max) }
    guard shape.count <= SafetensorsLimits.axes else {
      throw field.error("has \(shape.count) axes; at most \(SafetensorsLimits.axes) are possible")
    }
    guard let byteCount = elementType.byteCount(of: shape) else {
      throw field.error("\(shape) of \(typeName) are too many bytes to count")
    }
    let offsets = try field.required("data_offsets")
    let ends = try offsets.array().map { (end) throws(JSONError) in try end.int(in: 0 ... .max) }
    guard ends.count == 2, ends[0] <= ends[1] else {
      throw offsets.error("expected a beginning and an end, found \(ends)")
    }
    guard ends[1] <= data.count else {
      throw offsets.error(
        "\(ends[1]) is beyond the end of the data, which has \(data.count) bytes; the file is truncated or damaged")
    }
    guard ends[1] - ends[0] == byteCount else {
      throw offsets.error("\(shape) of \(typeName) takes \(byteCount) bytes, found \(ends[1] - ends[0])")
    }
    return SafetensorsTensor(
      name: name, elementType: elementType, shape: shape, elementCount: byteCount / elementType.byteCount, path: path,
      source: source, byteRange: (data.lowerBound + ends[0])..<(data.lowerBound + ends[1]))
  }

  /// The tensors' bytes follow one another and are all that the file has: nothing is shared and nothing is hidden.
  private func checkOrder(data: Range<Int>) throws(CheckpointError) {
    var end = data.lowerBound, last: SafetensorsTensor?
    var before: String { last.map { "tensor \($0.name.printable)" } ?? "the header" }
    for tensor in tensors {
      let begin = tensor.byteRange.lowerBound
      guard begin >= end else { throw tensor.error("shares bytes with \(before)") }
      guard begin == end else { throw tensor.error("\(begin - end) bytes between \(before) and this are no tensor's") }
      (end, last) = (tensor.byteRange.upperBound, tensor)
    }
    guard end == data.upperBound else {
      throw failure(nil, "the last bytes, \(data.upperBound - end) after \(before), are no tensor's")
    }
  }
}

extension JSONValue {
  /// A name that an object has twice, if there is one: a value keeps only the last, and two readers might disagree.
  /// - Parameters:
  ///   - text: an object, which has been parsed
  ///   - count: names that are not alike
  fileprivate static func repeatedName(
    in text: UnsafeRawBufferPointer, of count: Int
  ) throws(CheckpointError) -> String? {
    var found = Set<String>(minimumCapacity: count)
    var depth = 0, position = 0, isName = false
    while position < text.count {
      let start = position, byte = text[position]
      position += 1
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        isName = depth == 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: ","): isName = depth == 1
      case UInt8(ascii: "\""):
        while position < text.count, text[position] != byte {
          position += text[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        position += 1
        if isName, position <= text.count, case .string(let name)? = try? JSONValue(parsing: text[start..<position]),
          !found.insert(name).inserted
        {
          return name
        }
        isName = false
      default: break
      }
    }
    return nil
  }
}
