// Unicode's normalization forms with a record of where each character came from, which Foundation's do not give.

/// NFC, NFD, NFKC or NFKD (Unicode Standard Annex #15), with the data of Unicode 9 as in Hugging Face's library.
struct NormalizationForm: Sendable {
  static let nfc = NormalizationForm(isCompatible: false, composes: true)
  static let nfd = NormalizationForm(isCompatible: false, composes: false)
  static let nfkc = NormalizationForm(isCompatible: true, composes: true)
  static let nfkd = NormalizationForm(isCompatible: true, composes: false)

  private static let compositions: [UInt64: UInt32] = Dictionary(
    MappingData.entries(UnicodeMappingData.canonicalCompositions).map {
      (UInt64($0.key[0]) << 32 | UInt64($0.key[1]), $0.values[0])
    }, uniquingKeysWith: { first, _ in first })
  private static let combiningClasses = CodePointTable<UInt8>(
    default: 0, MappingData.codes(ofRuns: UnicodeMappingData.combiningClasses))
  private static let canonical = ScalarMapping(MappingData.entries(UnicodeMappingData.canonicalDecompositions))
  private static let compatible = ScalarMapping(
    MappingData.entries(UnicodeMappingData.canonicalDecompositions),
    MappingData.entries(UnicodeMappingData.compatibilityDecompositions))
  private let decompositions: ScalarMapping
  private let composes: Bool
  /// Whether text with this character may change.
  private let isCritical: CodePointTable<Bool>

  private init(isCompatible: Bool, composes: Bool) {
    let decompositions = isCompatible ? Self.compatible : Self.canonical
    self.decompositions = decompositions
    self.composes = composes
    var critical = MappingData.codes(ofRuns: UnicodeMappingData.combiningClasses).map(\.code)
    if composes {
      // A composite that is made again from its parts stays.
      critical += decompositions.keys.filter { code in decompositions(code).map { Self.composed($0) != code } ?? false }
      critical += Self.compositions.keys.map { UInt32(truncatingIfNeeded: $0) }
      critical += Array(0x1161...0x11C2)
    } else {
      critical += decompositions.keys + Array(0xAC00..<0xAC00 + 11172)
    }
    isCritical = CodePointTable(default: false, critical.map { (code: $0, value: true) })
  }

  private static func composed(_ parts: ArraySlice<UInt32>) -> UInt32? {
    guard var result = parts.first else { return nil }
    for part in parts.dropFirst() {
      guard let next = compose(result, part) else { return nil }
      result = next
    }
    return result
  }

  private static func compose(_ a: UInt32, _ b: UInt32) -> UInt32? {
    if a &- 0x1100 < 19, b &- 0x1161 < 21 { return 0xAC00 + ((a - 0x1100) * 21 + (b - 0x1161)) * 28 }
    if a >= 0xAC00, a < 0xAC00 + 11172, (a - 0xAC00) % 28 == 0, b &- 0x11A8 < 27 { return a + (b - 0x11A7) }
    return compositions[UInt64(a) << 32 | UInt64(b)]
  }

  /// Whether this form may change `bytes`, which must be UTF-8.
  func mayChange(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    var at = 0
    while at < bytes.count {
      if bytes[at] < 0x80 {
        at += 1
        continue
      }
      let (code, length) = scalar(in: bytes, at: at)
      if isCritical[code] { return true }
      at += length
    }
    return false
  }

  func normalize(_ text: inout AlignedText) {
    guard text.bytes.withUnsafeBufferPointer(mayChange) else { return }
    text.rewrite { reader, writer in
      var stage = Composer(composes: composes)
      while let (code, _) = reader.next() {
        if code < 0x80 {
          stage.append(code, 0, combiningClass: 0, to: &writer)
        } else if code >= 0xAC00, code < 0xAC00 + 11172 {
          let index = code - 0xAC00
          stage.append(0x1100 + index / 588, 0, combiningClass: 0, to: &writer)
          stage.append(0x1161 + index % 588 / 28, 1, combiningClass: 0, to: &writer)
          if index % 28 > 0 { stage.append(0x11A7 + index % 28, 1, combiningClass: 0, to: &writer) }
        } else if let parts = decompositions(code) {
          var change = 0
          for part in parts {
            stage.append(part, change, combiningClass: Self.combiningClasses[part], to: &writer)
            change = 1
          }
        } else {
          stage.append(code, 0, combiningClass: Self.combiningClasses[code], to: &writer)
        }
      }
      stage.finish(&writer)
    }
  }

  /// Puts marks in order and, for a composing form, joins them to the character before.
  private struct Composer {
    let composes: Bool
    private var pending: [(scalar: UInt32, change: Int, combiningClass: UInt8)] = []
    private var starter: (scalar: UInt32, change: Int)?
    private var lastClass: UInt8?
    private var marks: [(scalar: UInt32, change: Int)] = []

    init(composes: Bool) { self.composes = composes }

    mutating func append(_ scalar: UInt32, _ change: Int, combiningClass: UInt8, to writer: inout TextWriter) {
      if combiningClass == 0 {
        flush(&writer)
        compose(scalar, change, 0, to: &writer)
      } else {
        pending.append((scalar, change, combiningClass))
      }
    }

    private mutating func flush(_ writer: inout TextWriter) {
      if pending.isEmpty { return }
      // Sorting must keep the order of equals; the position as a second key sees to that.
      if pending.count > 1 {
        let order = pending.indices.sorted {
          (pending[$0].combiningClass, $0) < (pending[$1].combiningClass, $1)
        }
        for index in order {
          compose(pending[index].scalar, pending[index].change, pending[index].combiningClass, to: &writer)
        }
      } else {
        compose(pending[0].scalar, pending[0].change, pending[0].combiningClass, to: &writer)
      }
      pending.removeAll(keepingCapacity: true)
    }

    private mutating func compose(_ scalar: UInt32, _ change: Int, _ own: UInt8, to writer: inout TextWriter) {
      guard composes else { return writer.append(scalar, change: change) }
      guard let before = starter else {
        if own == 0 { starter = (scalar, change) } else { writer.append(scalar, change: change) }
        return
      }
      let isBlocked = lastClass.map { $0 >= own } ?? false
      if !isBlocked, let composed = NormalizationForm.compose(before.scalar, scalar) {
        starter = (composed, before.change + change - 1)
      } else if own == 0 {
        give(&writer)
        starter = (scalar, change)
      } else {
        marks.append((scalar, change))
        lastClass = own
      }
    }

    private mutating func give(_ writer: inout TextWriter) {
      if let starter { writer.append(starter.scalar, change: starter.change) }
      for mark in marks { writer.append(mark.scalar, change: mark.change) }
      starter = nil
      lastClass = nil
      marks.removeAll(keepingCapacity: true)
    }

    mutating func finish(_ writer: inout TextWriter) {
      flush(&writer)
      give(&writer)
    }
  }
}
