// The value that every op takes and gives.

/// The sizes of a tensor's axes, slowest first; at most four.
public struct Shape: Sendable, Equatable, CustomStringConvertible, ExpressibleByArrayLiteral {
  private var sizes: SIMD4<Int>
  public let rank: Int

  public init(arrayLiteral sizes: Int...) {
    self.init(sizes)
  }

  /// - Precondition: at most four sizes; checkpoints are checked where they are read.
  public init(_ sizes: some Collection<Int>) {
    precondition(sizes.count <= 4, "a tensor has at most four axes")
    rank = sizes.count
    self.sizes = SIMD4(repeating: 1)
    for (axis, size) in sizes.enumerated() { self.sizes[axis] = size }
  }

  public subscript(axis: Int) -> Int { sizes[axis] }

  /// The number of elements.
  public var count: Int { sizes[0] * sizes[1] * sizes[2] * sizes[3] }

  /// The size of the fastest axis: the length of a row.
  public var columns: Int { rank == 0 ? 1 : sizes[rank - 1] }

  /// The number of rows: all axes but the fastest.
  public var rows: Int { columns == 0 ? 0 : count / columns }

  public var description: String { "[" + (0..<rank).map { String(sizes[$0]) }.joined(separator: ", ") + "]" }
}

/// How a matrix lies in memory.
public enum Layout: Sendable {
  /// Row after row, as in files.
  case rows
  /// 16 rows side by side, as the product kernels read them; made by ``Backend/prepare(_:)``.
  case panels
}

/// A block of numbers with a shape, on a backend. Tensors are immutable once made and cheap to copy.
public struct Tensor: Sendable {
  public private(set) var storage: Storage
  /// How these numbers came from tensors whose gradients are wanted; nil where none are, so everywhere in inference.
  let history: Node?
  /// Axes, slowest first. A weight matrix is `[outputs, inputs]`.
  public let shape: Shape
  public let dataType: DataType
  public let layout: Layout
  public let backend: any Backend

  public init(storage: Storage, shape: Shape, dataType: DataType, layout: Layout = .rows, backend: any Backend) {
    self.init(storage: storage, history: nil, shape: shape, dataType: dataType, layout: layout, backend: backend)
  }

  private init(
    storage: Storage, history: Node?, shape: Shape, dataType: DataType, layout: Layout, backend: any Backend
  ) {
    self.storage = storage
    self.history = history
    self.shape = shape
    self.dataType = dataType
    self.layout = layout
    self.backend = backend
  }

  /// Uninitialised `f32` numbers.
  /// - Parameter stays: as for ``Storage/init(byteCount:stays:)``.
  init(shape: Shape, stays: Bool = false, backend: any Backend) {
    self.init(storage: Storage(byteCount: shape.count * 4, stays: stays), shape: shape, dataType: .f32, backend: backend)
  }

  /// Zeros.
  public init(zeros shape: Shape, backend: any Backend) {
    self.init(shape: shape, backend: backend)
    storage.bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// Numbers from Swift, as `f32`.
  /// - Precondition: `values.count` equals `shape.count`.
  public init(_ values: [Float], shape: Shape, backend: any Backend) {
    precondition(values.count == shape.count, "\(values.count) values for shape \(shape)")
    self.init(shape: shape, backend: backend)
    values.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
  }

  /// A part of a file, used in place.
  public init(source: any ByteSource, range: Range<Int>, shape: Shape, dataType: DataType, backend: any Backend) {
    self.init(storage: Storage(source: source, range: range), shape: shape, dataType: dataType, backend: backend)
  }

  /// The same numbers in memory of their own: one small part of a file that is used in place keeps much around it mapped.
  /// - Throws: when the file cannot be read.
  public func copied() throws -> Tensor {
    let copy = Storage(byteCount: storage.bytes.count)
    if let target = copy.bytes.baseAddress { try storage.copy(0..<storage.bytes.count, to: target) }
    return Tensor(storage: copy, shape: shape, dataType: dataType, layout: layout, backend: backend)
  }

  /// Whether no other tensor has these numbers, so that they can be changed in place.
  var isHeldAlone: Bool { mutating get { isKnownUniquelyReferenced(&storage) } }

  /// The same numbers with another history.
  func with(_ history: Node?) -> Tensor {
    Tensor(storage: storage, history: history, shape: shape, dataType: dataType, layout: layout, backend: backend)
  }

  /// The same numbers under another shape of as many elements.
  public func reshaped(_ shape: Shape) -> Tensor {
    precondition(shape.count == self.shape.count, "\(self.shape) cannot be seen as \(shape)")
    let result = Tensor(storage: storage, shape: shape, dataType: dataType, layout: layout, backend: backend)
    guard needsGradient else { return result }
    let original = self.shape
    return result.recorded([Pullback(to: self) { $0.reshaped(original) }])
  }

  /// The numbers of an `f32` tensor; valid while the tensor lives.
  public var floats: UnsafeMutableBufferPointer<Float> { storage.bytes.bindMemory(to: Float.self) }

  /// A copy of the numbers of an `f32` tensor.
  public var values: [Float] { Array(floats.prefix(shape.count)) }

  var pointer: UnsafeMutablePointer<Float> { floats.baseAddress! }
}
