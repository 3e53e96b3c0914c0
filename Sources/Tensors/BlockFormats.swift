// The readable definition of every storage format: what the fast kernels are tested against.

extension DataType {
  /// Expands stored elements to floats, one block after the other, in plain scalar arithmetic.
  ///
  /// The results are those of ggml's reference (`dequantize_row_*` in `ggml-quants.c`), bit for bit.
  /// - Parameters:
  ///   - source: whole blocks, at any alignment
  ///   - destination: room for exactly the elements of those blocks
  /// - Precondition: `source.count == bytes(forElements: destination.count)`
  public func dequantize(_ source: UnsafeRawBufferPointer, into destination: UnsafeMutableBufferPointer<Float>) {
    precondition(bytes(forElements: destination.count) == source.count, "the blocks do not fill the destination")
    let decode = blockDecoder
    var (byte, element) = (0, 0)
    while element < destination.count {
      let block = StoredBlock(bytes: UnsafeRawBufferPointer(rebasing: source[byte..<(byte + bytesPerBlock)]))
      let values = destination[element..<(element + elementsPerBlock)]
      decode(block, UnsafeMutableBufferPointer(rebasing: values))
      byte += bytesPerBlock
      element += elementsPerBlock
    }
  }

  /// The floats that `bytes` stand for, or nil when they do not end at a block boundary.
  public func dequantized(_ bytes: UnsafeRawBufferPointer) -> [Float]? {
    guard bytes.count % bytesPerBlock == 0 else { return nil }
    let (count, overflow) = (bytes.count / bytesPerBlock).multipliedReportingOverflow(by: elementsPerBlock)
    guard !overflow else { return nil }
    return [Float](unsafeUninitializedCapacity: count) { floats, initialized in
      dequantize(bytes, into: UnsafeMutableBufferPointer(rebasing: floats[..<count]))
      initialized = count
    }
  }

  private var blockDecoder: (StoredBlock, UnsafeMutableBufferPointer<Float>) -> Void {
    switch self {
    case .f32: { block, values in values[0] = Float(bitPattern: block.integer(at: 0, as: UInt32.self)) }
    case .f16: { block, values in values[0] = block.half(at: 0) }
    case .bf16: { block, values in values[0] = BrainFloat.decode(block.integer(at: 0)) }
    case .q4_0: decodeQ4_0
    case .q4_1: decodeQ4_1
    case .q5_0: decodeQ5_0
    case .q5_1: decodeQ5_1
    case .q8_0: decodeQ8_0
    case .q2_k: decodeQ2_K
    case .q3_k: decodeQ3_K
    case .q4_k: decodeQ4_K
    case .q5_k: decodeQ5_K
    case .q6_k: decodeQ6_K
    case .iq4_nl: decodeIQ4_NL
    case .iq4_xs: decodeIQ4_XS
    }
  }
}

/// The bytes of one block, read field by field; files promise no alignment.
struct StoredBlock {
  let bytes: UnsafeRawBufferPointer

  subscript(offset: Int) -> Int { Int(bytes[offset]) }

  func signed(at offset: Int) -> Int { Int(Int8(bitPattern: bytes[offset])) }

  func integer<T: FixedWidthInteger>(at offset: Int, as type: T.Type = T.self) -> T {
    T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
  }

  func half(at offset: Int) -> Float { HalfPrecision.decode(integer(at: offset)) }

  /// Bit `index` of the little-endian bit string at `offset`.
  func bit(_ index: Int, at offset: Int) -> Int { self[offset + index / 8] >> (index % 8) & 1 }

  /// One of the two 4-bit numbers of the byte at `offset`.
  func nibble(upper: Bool, at offset: Int) -> Int { upper ? self[offset] >> 4 : self[offset] & 0xF }
}
