// How a tensor of a Hugging Face folder becomes GGUF's, and back, where they differ in more than the name.
import Tensors

/// A change of form between the two.
public enum TensorTransform: Sendable, Equatable {
  case none
  /// Rows of each head from the order of halves to that of neighbouring pairs, as GGUF's Llama rotates them.
  case interleavedPairs(heads: Int)
  /// `[inputs, outputs]` (GPT-2's Conv1D) to `[outputs, inputs]`.
  case transposed
  /// Factors that are stored as their difference from 1 (Gemma).
  case plusOne
  /// For each of `groups` groups `counts` heads of queries, keys and values, to all queries, all keys, all values.
  case ungrouped(groups: Int, counts: [Int])
  /// The first rows are left out: positions that are never used (RoBERTa, BART).
  case withoutRows(Int)
}

extension TensorTransform {
  /// The rows in their new order; nil where they keep their places.
  /// - Throws: ``CheckpointError`` where there are not as many rows as the form asks for.
  func order(rows: Int, _ fault: (String) -> CheckpointError) throws(CheckpointError) -> [Int]? {
    switch self {
    case .none, .plusOne, .transposed: return nil
    case .interleavedPairs(let heads):
      guard heads > 0, rows % (2 * heads) == 0 else {
        throw fault("\(rows) rows are no pairs for \(heads) heads")
      }
      let width = rows / heads, half = width / 2
      return (0..<rows).map { row in
        let (head, place) = row.quotientAndRemainder(dividingBy: width)
        return head * width + place / 2 + place % 2 * half
      }
    case .ungrouped(let groups, let counts):
      let perGroup = counts.reduce(0, +)
      guard groups > 0, perGroup > 0, rows % (groups * perGroup) == 0 else {
        throw fault("\(rows) rows are not \(perGroup) heads in each of \(groups) groups")
      }
      let width = rows / (groups * perGroup)
      var order: [Int] = [], first = 0
      order.reserveCapacity(rows)
      for count in counts {
        for group in 0..<groups {
          let start = (group * perGroup + first) * width
          order += start..<start + count * width
        }
        first += count
      }
      return order
    case .withoutRows(let count):
      guard rows > count else { throw fault("\(rows) rows, of which the first \(count) are left out") }
      return Array(count..<rows)
    }
  }

  /// The tensor in GGUF's form.
  /// - Throws: ``CheckpointError`` where the tensor has not the shape that the form asks for.
  func applied(to tensor: GGUFTensor, path: String) throws(CheckpointError) -> GGUFTensor {
    try changed(tensor, back: false, path: path)
  }

  /// A tensor of GGUF's form as the folder would hold it.
  /// - Throws: ``CheckpointError`` where the tensor has not the shape that the form asks for.
  func reverted(_ tensor: GGUFTensor, path: String) throws(CheckpointError) -> GGUFTensor {
    try changed(tensor, back: true, path: path)
  }

  private func changed(_ tensor: GGUFTensor, back: Bool, path: String) throws(CheckpointError) -> GGUFTensor {
    let fault = { (message: String) in
      CheckpointError(path: path, field: "tensor \(tensor.name)", message: message)
    }
    let isVector = tensor.shape.count < 2, rows = isVector ? tensor.elementCount : tensor.rowCount
    let columns = isVector ? 1 : tensor.rowLength
    guard let elementBytes = tensor.dataType.bytes(forElements: 1) else {
      throw fault("is stored in blocks, which cannot be brought into another order")
    }
    if self == .plusOne {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(tensor.elementCount * 4)
      for value in try tensor.floats(path: path) {
        Swift.withUnsafeBytes(of: (back ? value - 1 : value + 1).bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
      }
      return tensor.replaced(shape: tensor.shape, dataType: .f32, bytes: bytes)
    }
    if self == .transposed {
      guard !isVector else { return tensor }
      var bytes = [UInt8](repeating: 0, count: tensor.byteRange.count)
      tensor.bytes.withMemoryRebound(to: UInt8.self) { source in
        for row in 0..<rows {
          for column in 0..<columns {
            let from = (row * columns + column) * elementBytes, to = (column * rows + row) * elementBytes
            for byte in 0..<elementBytes { bytes[to + byte] = source[from + byte] }
          }
        }
      }
      return tensor.replaced(shape: [rows, columns], dataType: tensor.dataType, bytes: bytes)
    }
    let rowBytes = columns * elementBytes
    if back, case .withoutRows(let count) = self {
      let bytes = [UInt8](repeating: 0, count: count * rowBytes) + tensor.bytes
      return tensor.replaced(
        shape: isVector ? [rows + count] : [columns, rows + count], dataType: tensor.dataType, bytes: bytes)
    }
    guard var order = try order(rows: rows, fault) else { return tensor }
    if back {
      var inverse = order
      for (new, old) in order.enumerated() { inverse[old] = new }
      order = inverse
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(order.count * rowBytes)
    for row in order { bytes += tensor.bytes[row * rowBytes..<(row + 1) * rowBytes] }
    return tensor.replaced(
      shape: isVector ? [order.count] : [columns, order.count], dataType: tensor.dataType, bytes: bytes)
  }
}

extension GGUFTensor {
  /// The same tensor with other contents.
  func replaced(shape: [Int], dataType: DataType, bytes: [UInt8]) -> GGUFTensor {
    GGUFTensor(
      name: name, dataType: dataType, shape: shape, elementCount: shape.reduce(1, *), source: OwnedBytes(bytes),
      byteRange: 0..<bytes.count)
  }

  /// The numbers of a tensor of plain numbers.
  func floats(path: String) throws(CheckpointError) -> [Float] {
    let bytes = bytes
    switch dataType {
    case .f32:
      return (0..<elementCount).map {
        Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
      }
    case .bf16:
      return (0..<elementCount).map {
        let bits = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self))
        return Float(bitPattern: UInt32(bits) << 16)
      }
    case .f16:
      return (0..<elementCount).map {
        HalfPrecision.decode(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self)))
      }
    default:
      throw CheckpointError(
        path: path, field: "tensor \(name)", message: "is stored as \(dataType.name), where plain numbers are expected")
    }
  }
}
