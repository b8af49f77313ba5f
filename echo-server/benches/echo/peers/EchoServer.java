import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.net.ServerSocket;
import java.net.Socket;

/**
 * A stand-in for the course's server: a platform thread for each connection, lines as strings, a flush and two lines of
 * log for each request.
 */
public class EchoServer {
  public static void main(String[] arguments) throws IOException {
    try (ServerSocket listener = new ServerSocket(Integer.parseInt(arguments[0]), 4096)) {
      while (true) {
        Socket client = listener.accept();
        System.out.println("New client connected: " + client.getRemoteSocketAddress());
        new Thread(() -> converse(client)).start();
      }
    }
  }

  private static void converse(Socket client) {
    try (client;
        BufferedReader reader = new BufferedReader(new InputStreamReader(client.getInputStream()));
        PrintWriter writer = new PrintWriter(client.getOutputStream(), true)) {
      String line;
      while ((line = reader.readLine()) != null) {
        System.out.println("Received: " + line);
        writer.println("Server received: " + line);
        System.out.println("Answered: " + client.getRemoteSocketAddress());
        if (line.equals("exit")) {
          return;
        }
      }
    } catch (IOException error) {
      System.out.println("Client lost: " + error.getMessage());
    }
  }
}
