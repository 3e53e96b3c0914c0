// TensorBoard's event files: records with masked check sums, each a protocol buffer of a few fields.
import Foundation
import JSON

/// A protocol buffer on its way into bytes.
struct ProtocolBuffer {
  private(set) var bytes: [UInt8] = []

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func integer(_ field: UInt64, _ value: Int) {
    varint(field << 3)
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func double(_ field: UInt64, _ value: Double) {
    varint(field << 3 | 1)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  mutating func float(_ field: UInt64, _ value: Float) {
    varint(field << 3 | 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
  }

  mutating func data(_ field: UInt64, _ value: some Collection<UInt8>) {
    varint(field << 3 | 2)
    varint(UInt64(value.count))
    bytes += value
  }

  mutating func message(_ field: UInt64, _ build: (inout ProtocolBuffer) -> Void) {
    var inner = ProtocolBuffer()
    build(&inner)
    data(field, inner.bytes)
  }
}

/// An event file (tensorflow/core/util/event.proto, tensorboard/compat/proto) that a run adds to.
///
/// A record is its length (8 bytes), the masked CRC-32C of that, the data, and the masked CRC-32C of the data.
struct EventFile {
  private var file: GrowingFile

  /// - Parameter session: from 1; a resumed run begins a file of its own, which TensorBoard reads after the older.
  init(folder: String, time: Date, session: Int) throws(TrackingError) {
    let seconds = Int(time.timeIntervalSince1970)
    let name = String(format: "events.out.tfevents.%010ld.malmoi.%04ld", seconds, session)
    file = try GrowingFile(OpenFile(path: "\(folder)/\(name)", O_WRONLY | O_APPEND | O_CREAT | O_EXCL))
    try append(time: time, step: 0) { event in event.data(3, "brain.Event:2".utf8) }
  }

  /// Tells TensorBoard to forget what older files say of this step and later ones.
  mutating func restart(step: Int, time: Date) throws(TrackingError) {
    try append(time: time, step: step) { event in event.message(7) { $0.integer(1, 1) } }
  }

  /// Numbers of a step, which TensorBoard keeps in single precision.
  mutating func scalars(_ values: [(String, Double)], step: Int, time: Date) throws(TrackingError) {
    try append(time: time, step: step) { event in
      event.message(5) { summary in
        for (name, value) in values {
          summary.message(1) { entry in
            entry.data(1, name.utf8)
            entry.float(2, Float(value))
          }
        }
      }
    }
  }

  /// A text in Markdown, for the page “Text”.
  mutating func text(_ tag: String, _ text: String, step: Int, time: Date) throws(TrackingError) {
    try append(time: time, step: step) { event in
      event.summary(tag, plugin: "text", content: []) { value in
        value.message(8) { tensor in
          tensor.integer(1, 7)  // strings
          tensor.message(2) { shape in shape.message(2) { $0.integer(1, 1) } }
          tensor.data(8, text.utf8)
        }
      }
    }
  }

  /// The run's options, for the page “HParams”.
  mutating func options(_ config: JSONValue, name: String, time: Date) throws(TrackingError) {
    var content = ProtocolBuffer()
    content.message(3) { start in
      for (key, value) in config.leaves.prefix(200) {
        start.message(1) { entry in
          entry.data(1, key.utf8)
          entry.message(2) { entry in
            switch value {
            case .null: entry.integer(1, 0)
            case .bool(let bool): entry.integer(4, bool ? 1 : 0)
            case .int(let number): entry.double(2, Double(number))
            case .double(let number): entry.double(2, number)
            case .string(let text): entry.data(3, text.utf8)
            case .array, .object: entry.data(3, value.text().utf8)
            }
          }
        }
      }
      start.data(4, name.utf8)
      start.double(5, time.timeIntervalSince1970)
    }
    try append(time: time, step: 0) { event in
      event.summary("_hparams_/session_start_info", plugin: "hparams", content: content.bytes) { _ in }
    }
  }

  /// The end of the run, for the page “HParams”.
  mutating func end(succeeded: Bool, time: Date) throws(TrackingError) {
    var content = ProtocolBuffer()
    content.message(4) { end in
      end.integer(1, succeeded ? 1 : 2)
      end.double(2, time.timeIntervalSince1970)
    }
    try append(time: time, step: 0) { event in
      event.summary("_hparams_/session_end_info", plugin: "hparams", content: content.bytes) { _ in }
    }
  }

  private mutating func append(
    time: Date, step: Int, _ build: (inout ProtocolBuffer) -> Void
  ) throws(TrackingError) {
    var event = ProtocolBuffer()
    event.double(1, time.timeIntervalSince1970)
    event.integer(2, step)
    build(&event)
    try file.append(Self.record(event.bytes))
  }

  static func record(_ data: [UInt8]) -> [UInt8] {
    func sum(_ bytes: [UInt8]) -> [UInt8] {
      let sum = CRC32.castagnoli(bytes)
      let masked = (sum >> 15 | sum << 17) &+ 0xA282_EAD8
      return withUnsafeBytes(of: masked.littleEndian) { Array($0) }
    }
    let length = withUnsafeBytes(of: UInt64(data.count).littleEndian) { Array($0) }
    return length + sum(length) + data + sum(data)
  }
}

extension ProtocolBuffer {
  /// An event's summary of one value that belongs to one of TensorBoard's pages.
  fileprivate mutating func summary(
    _ tag: String, plugin: String, content: [UInt8], _ build: (inout ProtocolBuffer) -> Void
  ) {
    message(5) { summary in
      summary.message(1) { value in
        value.data(1, tag.utf8)
        value.message(9) { metadata in
          metadata.message(1) { page in
            page.data(1, plugin.utf8)
            page.data(2, content)
          }
        }
        build(&value)
      }
    }
  }
}
