// Event files are read by TensorBoard, and by a reader of the tests' own that trusts no byte.
import Foundation
import JSON
import TestSupport
import Testing
import Tracking

/// The fields of a protocol buffer, by number.
private struct Fields {
  private var values: [(field: UInt64, value: UInt64, bytes: [UInt8])] = []

  init(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    func varint() throws -> UInt64 {
      var value: UInt64 = 0, shift: UInt64 = 0
      while let byte = rest.popFirst() {
        value |= UInt64(byte & 127) << shift
        if byte < 128 { return value }
        shift += 7
      }
      throw CocoaError(.coderReadCorrupt)
    }
    func fixed(_ count: Int) throws -> UInt64 {
      try #require(rest.count >= count)
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    while !rest.isEmpty {
      let key = try varint()
      switch key & 7 {
      case 0: values.append((key >> 3, try varint(), []))
      case 1: values.append((key >> 3, try fixed(8), []))
      case 5: values.append((key >> 3, try fixed(4), []))
      default:
        let count = Int(try varint())
        try #require(key & 7 == 2 && rest.count >= count)
        values.append((key >> 3, 0, Array(rest.prefix(count))))
        rest = rest.dropFirst(count)
      }
    }
  }

  func number(_ field: UInt64) -> UInt64? { values.first { $0.field == field }?.value }
  func text(_ field: UInt64) -> String? {
    values.first { $0.field == field }.map { String(decoding: $0.bytes, as: UTF8.self) }
  }
  func messages(_ field: UInt64) throws -> [Fields] {
    try values.filter { $0.field == field }.map { try Fields($0.bytes) }
  }
}

/// The events of a file whose check sums are right.
private func events(_ path: String) throws -> [Fields] {
  var rest = Array(try Data(contentsOf: URL(fileURLWithPath: path)))[...], events: [Fields] = []
  func number(_ count: Int) throws -> UInt64 {
    try #require(rest.count >= count)
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
  func check(_ bytes: some Sequence<UInt8>) throws {
    let sum = CRC32.castagnoli(bytes)
    #expect(try UInt32(number(4)) == (sum >> 15 | sum << 17) &+ 0xA282_EAD8)
  }
  while !rest.isEmpty {
    let head = Array(rest.prefix(8)), length = Int(try number(8))
    try check(head)
    try #require(rest.count >= length + 4)
    let data = Array(rest.prefix(length))
    rest = rest.dropFirst(length)
    try check(data)
    events.append(try Fields(data))
  }
  return events
}

@Suite struct EventFileTests {
  @Test func `Check sums are those of the standards`() {
    let digits = "123456789".utf8
    #expect(CRC32.castagnoli(digits) == 0xE306_9283)
    // RFC 3720, appendix B.4.
    #expect(CRC32.castagnoli([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32.castagnoli([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32.castagnoli((0..<32).map(UInt8.init)) == 0x46DD_794E)
    #expect(CRC32.castagnoli((0..<32).reversed().map(UInt8.init)) == 0x113F_DB5C)
    #expect(CRC32.ieee(digits) == 0xCBF4_3926)
    #expect(CRC32.ieee([]) == 0)
    #expect(adler32(Array("Wikipedia".utf8)) == 0x11E6_0398)
  }

  /// A run of four steps that was resumed after the second.
  private func resumedRun(_ folder: TemporaryFolder) throws -> String {
    var run: Run? = try folder.newRun("말", config: ["width": 64, "name": "tiny", "isCausal": true, "no": nil])
    for step in 1...4 { try run?.log(step: step, tokens: step, [("loss", Double(step)), ("rate", 0.5)]) }
    try run?.sample(step: 2, prompt: "a", text: "b")
    let path = try #require(run?.folder)
    run = nil
    let resumed = try Run.resume(folder: path, atStep: 2)
    for step in 3...5 { try resumed.log(step: step, tokens: step, [("loss", Double(step) * 10), ("rate", .nan)]) }
    try resumed.finish()
    return path
  }

  @Test func `Files have the version, the scalars and the restart`() throws {
    let folder = try TemporaryFolder(), files = try eventFiles(resumedRun(folder))
    #expect(files.count == 2)
    let first = try events(files[0]), second = try events(files[1])
    #expect(first.first?.text(3) == "brain.Event:2" && second.first?.text(3) == "brain.Event:2")
    let scalars = try first.flatMap { event in
      try event.messages(5).flatMap { try $0.messages(1) }.compactMap { value in
        value.number(2).map { (event.number(2), value.text(1), Float(bitPattern: UInt32($0))) }
      }
    }
    #expect(scalars.map(\.0) == [1, 1, 2, 2, 3, 3, 4, 4])
    #expect(scalars.map(\.1) == Array(repeating: ["loss", "rate"], count: 4).flatMap { $0 })
    #expect(scalars.map(\.2) == [1, 0.5, 2, 0.5, 3, 0.5, 4, 0.5])
    let restart = try #require(try second.first { try !$0.messages(7).isEmpty })
    #expect(restart.number(2) == 3)
    #expect(try restart.messages(7).first?.number(1) == 1)
  }

  @Test(
    .enabled(if: Python.hasTensorBoard, "needs a python3 with the tensorboard package; MALMOI_PYTHON may name one"))
  func `TensorBoard reads scalars, texts and options, and the computed-again steps once`() throws {
    let folder = try TemporaryFolder(), path = try resumedRun(folder)
    let output = try Python.run(
      """
      import sys
      from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
      from tensorboard.plugins.hparams import metadata
      events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
      events.Reload()
      for tag in sorted(events.Tags()["scalars"]):
          print(tag, [(e.step, e.value) for e in events.Scalars(tag)])
      for tag in sorted(events.Tags()["tensors"]):
          print(tag, events.SummaryMetadata(tag).plugin_data.plugin_name)
      print(events.Tensors("samples")[0].step, events.Tensors("samples")[0].tensor_proto.string_val)
      content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
      start = metadata.parse_session_start_info_plugin_data(content)
      for key, value in sorted(start.hparams.items()):
          print(key, value.WhichOneof("kind"), getattr(value, value.WhichOneof("kind")))
      print(start.group_name)
      content = events.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
      print(metadata.parse_session_end_info_plugin_data(content).status)
      """, path)
    #expect(
      output == """
        loss [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0), (5, 50.0)]
        rate [(1, 0.5), (2, 0.5), (3, nan), (4, nan), (5, nan)]
        config text
        samples text
        2 [b'    a\\n\\n---\\n\\n    b']
        isCausal bool_value True
        name string_value tiny
        no null_value 0
        width number_value 64.0
        말
        1

        """)
  }
}
