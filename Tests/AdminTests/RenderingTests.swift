import JSONText
import MailModel
import Testing

@testable import Admin

private let now = WallTime(millisecondsSinceEpoch: 1_700_000_600_000)

private func read(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

@Suite struct RenderingTests {
  @Test func `a queue listing has a line a group and the reason below`() throws {
    let row = try read(
      #"{"id":"6GZPG4T5C0000","state":"deferred","stage":"imc_out","accepted_at":1700000000000,"octets":14543,"#
        + #""sender":"a@example.com","recipient":"b@example.net","recipients":3,"attempts":2,"#
        + #""next_try_at":1700000720000,"reason":"4.4.1 no answer"}"#)
    #expect(
      RowText.queueHead + RowText.queueRow(row, now: now) == """
        ID                AGE        SIZE  STATE     STAGE           TRIES  NEXT     FROM -> TO
        6GZPG4T5C0000     10m    14.2 KiB  deferred  imc_out             2  in 2m    <a@example.com> -> <b@example.net> and 2 more
                       4.4.1 no answer

        """)
  }

  @Test func `what a message holds cannot steer a terminal`() throws {
    let hostile = "\\u001b[2J\\u0007\\r\\n\\u202ex\\u009b31m"
    let row = try read(
      "{\"id\":\"\(hostile)\",\"state\":\"\(hostile)\",\"stage\":\"\(hostile)\",\"sender\":\"\(hostile)\","
        + "\"recipient\":\"\(hostile)\",\"reason\":\"\(hostile)\",\"event\":\"\(hostile)\",\"text\":\"\(hostile)\","
        + "\"origin\":\"\(hostile)\",\"node\":\"\(hostile)\",\"spool_path\":\"\(hostile)\","
        + "\"successor\":\"\(hostile)\",\"recipients\":[\"\(hostile)\"],\"remote_host\":\"\(hostile)\","
        + "\"attributes\":[{\"name\":\"\(hostile)\",\"value\":\"\(hostile)\"}],"
        + "\"stages\":[{\"stage\":\"\(hostile)\",\"complaint\":\"\(hostile)\"}],\"metrics\":{\"\(hostile)\":1},"
        + "\"holders\":[{\"stage\":\"\(hostile)\"}],\"destination\":\"\(hostile)\",\"age_minutes\":[5]}")
    let texts = [
      RowText.queueRow(row, now: now), RowText.messageRow(row, now: now), RowText.event(row, now: now),
      RowText.status(row), RowText.ledger(row), RowText.shape([row, row]), LetterRow.text(row, now: now),
    ]
    for text in texts {
      for scalar in text.unicodeScalars where scalar != "\n" {
        #expect(scalar.properties.generalCategory != .control, "\(text)")
        #expect(scalar.properties.generalCategory != .format, "\(text)")
      }
      #expect(text.contains("\\u{1b}[2J"))
    }
    // The same row as JSON is one safe line.
    #expect(row.text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
  }

  @Test func `a message is shown with its recipients`() throws {
    let head = try read(
      #"{"id":"6GZPG4T5C0000","accepted_at":1700000000000,"origin":"imc_in","octets":21,"sender":"","#
        + #""body":"7bit","recipients":2,"live":1,"attributes":[{"name":"client.address","value":"192.0.2.1"}]}"#)
    let recipient = try read(
      #"{"id":"6GZPG4T5C0000","index":0,"recipient":"b@example.net","state":"deferred","stage":"out","attempts":1,"#
        + #""next_try_at":1700000720000,"reason":"4.4.1 no answer"}"#)
    #expect(
      RowText.messageRow(head, now: now) + RowText.messageRow(recipient, now: now) == """
        6GZPG4T5C0000
          accepted    2023-11-14T22:13:20.000Z (10m ago) from imc_in
          sender      <>
          content     21 B, 7bit
          attribute   client.address = 192.0.2.1
          recipients  2, of whom 1 are not done
          <b@example.net>: deferred at out, 1 attempt, next in 2m
              4.4.1 no answer

        """)
  }

  @Test func `a ledger shows what came in, what ended, what lives and the difference`() throws {
    let row = try read(
      #"{"recovered":1,"accepted":2,"generated":0,"delivered":0,"relayed":1,"transferred":0,"expanded":0,"failed":0,"#
        + #""dead":0,"moved":0,"deleted":0,"queued":0,"deferred":2,"held":0,"difference":0,"#
        + #""holders":[{"stage":"out","jobs":1,"recipients":1,"oldest_seconds":130}]}"#)
    #expect(
      RowText.ledger(row) == """
        recipients since the start of the host
          came in                          3
            recovered                      1
            accepted                       2
          ended                            1
            relayed                        1
          live                             2
            deferred                       2
          difference                       0
          out holds 1 message, the oldest for 2m

        """)
  }

  @Test func `the shape of a queue is a table of ages`() throws {
    let rows = [
      try read(#"{"stage":"out","destination":"example.net","recipients":3,"by_age":[1,2]}"#),
      try read(#"{"total":true,"recipients":3,"by_age":[1,2],"age_minutes":[5]}"#),
    ]
    #expect(
      RowText.shape(rows) == """
        STAGE  DESTINATION  T  5  5+
        TOTAL               3  1   2
        out    example.net  3  1   2

        """)
  }

  @Test func `an event of a trace names recipients, reason and where they go on`() throws {
    let row = try read(
      #"{"time":1700000000000,"id":"6GZPG4T5C0000","event":"failed","stage":"out","successor":"6GZPG4T5C0001","#
        + #""recipients":["a@b","c@d","e@f","g@h"],"more":5,"code":"5.1.1","text":"no such mailbox","#
        + #""remote_host":"mx.example.net","remote_text":"550 no"}"#)
    #expect(
      RowText.event(row, now: now)
        == "2023-11-14T22:13:20.000Z  6GZPG4T5C0000  failed      out <a@b> <c@d> <e@f> and 6 more"
        + " -> 6GZPG4T5C0001: 5.1.1 no such mailbox (mx.example.net: 550 no)\n")
  }

  @Test(arguments: [
    ("a\nb\n", "a\r\nb\r\n"), ("a\r\nb\r\n", "a\r\nb\r\n"), ("a\rb\n\n\r\r\n", "a\r\nb\r\n\r\n\r\n\r\n"), ("", ""),
  ])
  func `every kind of line end becomes CR LF`(_ text: String, _ expected: String) {
    #expect(LineEnds.canonical(Array(text.utf8)) == Array(expected.utf8))
  }

  @Test func `an address is Internet mail unless it names its kind`() {
    #expect(TypedAddress.read("a@b") == .smtp("a@b"))
    #expect(TypedAddress.read("x400:/C=GB/A= /P=ORG/S=SMITH/") == Address(.x400, "/C=GB/A= /P=ORG/S=SMITH/"))
    #expect(TypedAddress.read("msmail:NET/PO/BOX") == Address(.msmail, "NET/PO/BOX"))
    #expect(TypedAddress.read("mailto:a@b") == .smtp("mailto:a@b"))
  }
}
