import MailModel
import Testing

@testable import Spoke

extension DownFrame {
  static let samples: [DownFrame] = [
    .job(.sample(recipients: 3)), .cancel(job: 7), .verdict(draft: 9, .accepted(QueueID(rawValue: 12345))),
    .verdict(draft: 9, .refused(DeliveryStatus(.systemFull, "no room"))), .piecesTaken([0, 5, 1023]),
    .congestion(2), .askHealth, .stop,
  ]
}

extension UpFrame {
  static let samples: [UpFrame] = [
    .ready, .startFailed("port taken"), .piece(draft: 1, chunk: 2, octets: 16384),
    .offer(draft: 1, port: 0, .sample(recipients: 2)), .discard(draft: 4),
    .outcome(
      OutcomeFrame(
        job: 3,
        emissions: [
          .init(draft: 5, port: 1, envelope: .sample(recipients: 1)),
          .init(draft: nil, port: 0, envelope: .sample(recipients: 1)),
        ],
        runs: [
          .init(count: 1, answer: .answered(.forward(port: 1, because: DeliveryStatus(.badSenderSyntax, "bad")))),
          .init(count: 2, answer: .answered(.settled(.transferred, DeliveryStatus(.success, "ok")))),
          .init(
            count: 1,
            answer: .answered(
              .deferred(
                DeliveryStatus(
                  .noAnswer, "no answer", remote: RemoteReply(host: "mx.example", type: "smtp", text: "421 later")),
                retryAfterSeconds: 30))),
          .init(count: 1, answer: .answered(.failed(DeliveryStatus(.badDestinationMailbox, "gone")))),
          .init(count: 1, answer: .answered(.held(reason: "virus"))),
          .init(count: 1, answer: .answered(.dead(DeliveryStatus(.unableToRoute, "nowhere")))),
          .init(count: 1, answer: .moved(emission: 1)), .init(count: 9, answer: .unanswered),
        ])),
    .log(severity: 2, QueueID(rawValue: 3), "text\r\nwith lines"), .log(severity: 1, nil, ""),
    .metric(name: "sessions", value: -1, isGauge: true), .diagnostic(severity: 4, line: 10, column: 3, "wrong"),
    .health(nil), .health("not listening"), .stopped,
  ]
}

extension JobFrame {
  static func sample(recipients: Int) -> JobFrame {
    JobFrame(
      job: 42, queueID: QueueID(rawValue: 99), attempt: 2, acceptedAt: WallTime(millisecondsSinceEpoch: 1_700_000_000_000),
      envelope: .sample(recipients: recipients), contentOctets: 5000,
      extents: [ContentExtent(segment: 1, offset: 4096, count: 4000), ContentExtent(segment: 2, offset: 64, count: 1000)])
  }
}

extension Envelope {
  static func sample(recipients: Int) -> Envelope {
    Envelope(
      reversePath: .smtp("sender@example.org"),
      recipients: (0..<recipients).map {
        Recipient(
          Address($0 % 2 == 0 ? .smtp : .x400, "recipient\($0)@example.com"), notify: $0 % 3 == 0 ? nil : [.failure],
          originalRecipient: OriginalRecipient(type: "rfc822", text: "first\($0)@example.com"),
          attributes: [Attribute("dead.code", "5.1.1")])
      }, envelopeID: "ENV-1", returnContent: .headers, bodyType: .eightBitMIME, smtputf8: true,
      attributes: [Attribute("client.address", "127.0.0.1")])
  }
}

@Suite struct FrameCodingTests {
  @Test(arguments: DownFrame.samples) func `a frame down is read as it was written`(frame: DownFrame) throws {
    let (kind, payload) = frame.encode()
    #expect(try DownFrame(kind: kind, payload: payload) == frame)
  }

  @Test(arguments: UpFrame.samples) func `a frame up is read as it was written`(frame: UpFrame) throws {
    let (kind, payload) = frame.encode()
    #expect(try UpFrame(kind: kind, payload: payload) == frame)
  }

  @Test func `a frame cut at any octet, or with one too many, is refused`() {
    for frame in UpFrame.samples {
      let (kind, payload) = frame.encode()
      for length in 0..<payload.count {
        #expect(throws: WireCodingError.self) { try UpFrame(kind: kind, payload: Array(payload[..<length])) }
      }
      #expect(throws: WireCodingError.trailing(octets: 1)) { try UpFrame(kind: kind, payload: payload + [0]) }
    }
  }

  @Test func `octets of any value in any place never trap`() {
    var random = SystemRandomNumberGenerator()
    for frame in UpFrame.samples {
      let (kind, payload) = frame.encode()
      for index in payload.indices {
        for value in [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &random)] as [UInt8] {
          var changed = payload
          changed[index] = value
          _ = try? UpFrame(kind: kind, payload: changed)
          _ = try? DownFrame(kind: kind, payload: changed)
        }
      }
    }
  }

  @Test func `a kind that nobody knows is refused`() {
    #expect(throws: WireCodingError.self) { try UpFrame(kind: 999, payload: []) }
    #expect(throws: WireCodingError.self) { try DownFrame(kind: 0, payload: []) }
  }
}
