// Importance in llama.cpp's GGUF form (tools/imatrix), so that either program can use what the other has measured.
import Checkpoints
import Tensors

extension ImportanceMatrix {
  private static let squaresSuffix = ".in_sum2"
  private static let countsSuffix = ".counts"

  /// Writes `name.in_sum2` and `name.counts` for every tensor.
  public func write(to path: String) throws {
    var writer = GGUFWriter(path: path)
    writer.metadata.set("general.type", .string("imatrix"))
    writer.metadata.set("imatrix.datasets", .strings([dataset]))
    writer.metadata.set("imatrix.chunk_count", .uint32(UInt32(clamping: windows)))
    writer.metadata.set("imatrix.chunk_size", .uint32(UInt32(clamping: windowTokens)))
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
      let parts = entry.counts.count
      for (suffix, numbers) in [(Self.squaresSuffix, entry.squares), (Self.countsSuffix, entry.counts)] {
        guard let bytes = DataType.f32.quantized(numbers) else { continue }
        try writer.addTensor(
          name + suffix, dataType: .f32, shape: [numbers.count / max(1, parts), parts], bytes: bytes)
      }
    }
    try writer.write()
  }

  /// Reads a file that Malmoi or llama.cpp wrote.
  /// - Throws: `CheckpointError` that names what is wrong with it.
  public init(_ file: GGUFFile) throws {
    guard try file.metadata.string("general.type") == "imatrix" else {
      throw file.metadata.error("general.type", "expected “imatrix”: this is no file of importance")
    }
    func floats(_ tensor: GGUFTensor) throws -> [Float] {
      guard tensor.dataType == .f32, let floats = tensor.dataType.dequantized(tensor.bytes) else {
        throw CheckpointError(path: file.path, field: "tensor \(tensor.name)", message: "is not F32")
      }
      if let odd = floats.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
        throw CheckpointError(
          path: file.path, field: "tensor \(tensor.name)",
          message: "number \(odd) is \(floats[odd]), which is no sum of squares or count")
      }
      return floats
    }
    var entries: [String: Entry] = [:]
    for tensor in file.tensors where tensor.name.hasSuffix(Self.squaresSuffix) {
      let name = String(tensor.name.dropLast(Self.squaresSuffix.count))
      let counts = try floats(file.tensor(required: name + Self.countsSuffix))
      entries[name] = Entry(squares: try floats(tensor), counts: counts)
    }
    guard !entries.isEmpty else { throw CheckpointError(path: file.path, message: "holds no importance of any tensor") }
    let datasets = try file.metadata.strings("imatrix.datasets")
    self.init(
      entries: entries, dataset: datasets?.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ") ?? "",
      windows: try file.metadata.int("imatrix.chunk_count") ?? 0,
      windowTokens: try file.metadata.int("imatrix.chunk_size") ?? 0)
  }
}
