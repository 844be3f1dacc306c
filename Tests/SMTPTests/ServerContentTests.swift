import MailModel
import Testing

@testable import SMTP

@Suite struct ServerContentTests {
  @Test func `a message passes and is answered 250 only after the owner took it`() {
    var server = ServerHarness()
    server.verdict = nil
    server.start()
    server.receive("EHLO c.example\r\n")
    server.receive("MAIL FROM:<a@example.org> SIZE=20\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
    _ = server.takeSent()
    server.receive("Subject: x\r\n\r\n..dot\r\n.\r\nNOOP\r\n")
    #expect(server.takeSent() == "")
    #expect(server.contents == [Array("Subject: x\r\n\r\n.dot\r\n".utf8)])
    server.perform(server.session.contentAccepted(identifier: "ABC"))
    #expect(server.takeSent() == "250 2.0.0 queued as ABC\r\n250 2.0.0 OK\r\n")
  }
}
