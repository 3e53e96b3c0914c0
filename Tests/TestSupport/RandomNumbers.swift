// Random numbers, and weights made of them, that are the same on every machine and in every run.
import Foundation
import Tensors

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
public struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  public init(_ seed: UInt64) {
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  /// A number in `0 ..< bound`.
  public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  /// A number in `-spread ..< spread`.
  public mutating func float(_ spread: Float = 1) -> Float {
    (Float(next() >> 40) * 0x1p-23 - 1) * spread
  }

  /// `count` numbers in `-spread ..< spread`.
  public mutating func floats(_ count: Int, spread: Float = 1) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count { buffer[index] = float(spread) }
      initialized = count
    }
  }

  /// `count` tokens of a vocabulary.
  public mutating func tokens(_ count: Int, vocabulary: Int) -> [Int32] {
    (0..<count).map { _ in Int32(below(vocabulary)) }
  }

  /// `elements` numbers in stored form, roughly in `-spread ... spread`: in block formats all bits are random but
  /// those of the f16 scales.
  public mutating func stored(_ type: DataType, elements: Int, spread: Float = 1) -> [UInt8] {
    var bytes: [UInt8] = []
    if !type.isQuantized {
      for _ in 0..<elements {
        let value = float(spread)
        switch type {
        case .f16: withUnsafeBytes(of: HalfPrecision.encode(value).littleEndian) { bytes += $0 }
        case .bf16: withUnsafeBytes(of: BrainFloat.encode(value).littleEndian) { bytes += $0 }
        default: withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
        }
      }
      return bytes
    }
    let form = BlockForm(type)
    for _ in 0..<elements / type.elementsPerBlock {
      var block: [UInt8] = []
      while block.count < type.bytesPerBlock { withUnsafeBytes(of: next()) { block += $0 } }
      block.removeLast(block.count - type.bytesPerBlock)
      let scale = spread / form.largest * (float() > 0 ? 1 : -1) * (0.75 + float(0.25))
      put(scale, into: &block, at: form.scale)
      if let minimum = form.minimum { put(scale * minimum.factor, into: &block, at: minimum.place) }
      bytes += block
    }
    return bytes
  }

  private func put(_ value: Float, into block: inout [UInt8], at place: Int) {
    let bits = HalfPrecision.encode(value)
    block[place] = UInt8(bits & 0xFF)
    block[place + 1] = UInt8(bits >> 8)
  }
}

/// Where a block keeps its f16 scales, and which ones give numbers around zero.
private struct BlockForm {
  var scale = 0
  /// The largest product of code and inner scale.
  var largest: Float
  /// The place of the second f16 number, and its share of the first for values whose mean is zero.
  var minimum: (place: Int, factor: Float)?

  init(_ type: DataType) {
    switch type {
    case .q4_0: largest = 8
    case .q4_1: (largest, minimum) = (8, (2, -7.5))
    case .q5_0: largest = 16
    case .q5_1: (largest, minimum) = (16, (2, -15.5))
    case .q8_0, .iq4_nl: largest = 127
    case .q2_k: (scale, largest, minimum) = (80, 23, (82, 1.5))
    case .q3_k: (scale, largest) = (108, 128)
    case .q4_k: (largest, minimum) = (473, (2, 7.5))
    case .q5_k: (largest, minimum) = (977, (2, 15.5))
    case .q6_k: (scale, largest) = (208, 4096)
    case .iq4_xs: largest = 4064
    case .f32, .f16, .bf16: largest = 1
    }
  }
}

extension Tensor {
  /// A matrix of random numbers in `type`, row after row as in a file.
  public static func random(
    _ shape: Shape, type: DataType = .f32, spread: Float = 1, using random: inout SeededRandom,
    backend: any Backend
  ) -> Tensor {
    let bytes = random.stored(type, elements: shape.count, spread: spread)
    let storage = Storage(byteCount: bytes.count)
    bytes.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    return Tensor(storage: storage, shape: shape, dataType: type, backend: backend)
  }
}

/// Whether two results are the same to the bit; comparing floats would take 0 for −0, and NaN for nothing.
public func sameBits(_ left: [Float], _ right: [Float]) -> Bool {
  left.withUnsafeBytes { left in
    right.withUnsafeBytes { right in
      guard left.count == right.count, let a = left.baseAddress, let b = right.baseAddress else {
        return left.count == right.count
      }
      return memcmp(a, b, left.count) == 0
    }
  }
}
