// Just enough of the protocol buffer wire format to read one message of fields.

/// Reads the fields of a message one after another.
struct ProtobufReader {
  enum Value {
    case integer(UInt64)
    case fixed64(UInt64)
    case bytes(ArraySlice<UInt8>)
    case fixed32(UInt32)
  }

  struct ReadError: Error { let message: String }

  private var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  private func error(_ message: String) -> ReadError { ReadError(message: "\(message) at byte \(rest.startIndex)") }

  /// The next field; nil at the end.
  mutating func next() throws(ReadError) -> (number: Int, value: Value)? {
    if rest.isEmpty { return nil }
    let key = try integer()
    let number = Int(clamping: key >> 3)
    switch key & 7 {
    case 0: return (number, .integer(try integer()))
    case 1: return (number, .fixed64(try fixed(8)))
    case 2:
      let length = try integer()
      guard length <= UInt64(rest.count) else {
        throw error("field \(number) says it has \(length) bytes, but \(rest.count) are left")
      }
      let bytes = rest.prefix(Int(length))
      rest = rest.dropFirst(Int(length))
      return (number, .bytes(bytes))
    case 5: return (number, .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
    default: throw error("unknown wire type \(key & 7)")
    }
  }

  private mutating func integer() throws(ReadError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while let byte = rest.popFirst() {
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
      shift += 7
      guard shift < 64 else { throw error("an integer of more than ten bytes") }
    }
    throw error("the file ends within an integer")
  }

  private mutating func fixed(_ count: Int) throws(ReadError) -> UInt64 {
    guard rest.count >= count else { throw error("the file ends within a number") }
    let value = rest.prefix(count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    rest = rest.dropFirst(count)
    return value
  }
}
