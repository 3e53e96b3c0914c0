// Arrays of metadata reach hundreds of thousands of elements, so they stay packed until someone asks.
import Tokenization

/// An array of metadata values of one type.
public struct GGUFArray: Sendable {
  enum Storage: Sendable {
    /// Numbers, little-endian as in the file and in the memory of every platform that Swift runs on; flags as bytes.
    case packed([UInt8])
    case strings(PackedStrings)
    case arrays([GGUFArray])
  }

  public let elementType: GGUFType
  public let count: Int
  let storage: Storage

  /// - Parameter bytes: `count` elements of a type whose size is fixed
  init(packed bytes: [UInt8], of elementType: GGUFType, count: Int) {
    self.elementType = elementType
    self.count = count
    storage = .packed(bytes)
  }

  public init<Number: GGUFNumber>(_ numbers: [Number]) {
    self.init(packed: numbers.withUnsafeBytes(Array.init), of: Number.ggufType, count: numbers.count)
  }

  public init(_ flags: [Bool]) {
    self.init(packed: flags.map { $0 ? 1 : 0 }, of: .bool, count: flags.count)
  }

  public init(_ strings: PackedStrings) {
    elementType = .string
    count = strings.count
    storage = .strings(strings)
  }

  public init(_ arrays: [GGUFArray]) {
    elementType = .array
    count = arrays.count
    storage = .arrays(arrays)
  }

  /// The elements, if they are strings.
  public var strings: PackedStrings? { if case .strings(let strings) = storage { strings } else { nil } }

  /// The elements, if they are arrays themselves.
  public var arrays: [GGUFArray]? { if case .arrays(let arrays) = storage { arrays } else { nil } }

  /// The elements, if they are flags.
  public var bools: [Bool]? {
    guard elementType == .bool, case .packed(let bytes) = storage else { return nil }
    return bytes.map { $0 != 0 }
  }

  /// The elements, if they are stored as exactly this type.
  public func numbers<Number: GGUFNumber>(as type: Number.Type = Number.self) -> [Number]? {
    guard elementType == type.ggufType, case .packed(let bytes) = storage else { return nil }
    return [Number](unsafeUninitializedCapacity: count) { numbers, initialized in
      UnsafeMutableRawBufferPointer(numbers).copyBytes(from: bytes)
      initialized = count
    }
  }

  /// The elements, if they are integers of any width and every one fits an `Int`.
  public var integers: [Int]? {
    switch elementType {
    case .uint8: exact(UInt8.self)
    case .int8: exact(Int8.self)
    case .uint16: exact(UInt16.self)
    case .int16: exact(Int16.self)
    case .uint32: exact(UInt32.self)
    case .int32: exact(Int32.self)
    case .uint64: exact(UInt64.self)
    case .int64: exact(Int64.self)
    case .float32, .float64, .bool, .string, .array: nil
    }
  }

  /// The elements, if they are floats or integers, in single precision.
  public var floats: [Float]? {
    switch elementType {
    case .float32: numbers(as: Float.self)
    case .float64: numbers(as: Double.self)?.map(Float.init)
    default: integers?.map(Float.init)
    }
  }

  private func exact<Number: GGUFNumber & FixedWidthInteger>(_ type: Number.Type) -> [Int]? {
    guard let numbers = numbers(as: type) else { return nil }
    var integers: [Int] = []
    integers.reserveCapacity(count)
    for number in numbers {
      guard let integer = Int(exactly: number) else { return nil }
      integers.append(integer)
    }
    return integers
  }
}
