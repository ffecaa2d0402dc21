import java.net.CookieManager;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The way of an old client with nothing but the JDK: form log-in, bare token, cookies. */
public class OldClient {
    static final Pattern TOKEN = Pattern.compile("\"auth_token\":\"([^\"]+)\"");
    static HttpClient http = HttpClient.newHttpClient();
    static String gateway;

    public static void main(String[] args) throws Exception {
        gateway = args[0];
        String form = "username=" + encoded(args[1]) + "&password=" + encoded(args[2]);
        HttpResponse<String> login = logIn(form);
        told("login", login);
        Matcher found = TOKEN.matcher(login.body());
        if (!found.find() || !login.body().contains("\"password\":null")) {
            throw new IllegalStateException(login.body());
        }
        String token = found.group(1);
        told("user_info", send(request("/auth/user_info", token).GET()));
        String csv = args[4].replace("%s", token);
        told("daily", send(request("/compat/s3/" + args[3], token).PUT(BodyPublishers.ofString(csv))));
        told("status", send(request("/auth/status", token).GET()));
        http = HttpClient.newBuilder().cookieHandler(new CookieManager()).build();
        logIn(form);
        told("cookie", send(HttpRequest.newBuilder(URI.create(gateway + "/auth/user_info")).GET()));
        told("logout", send(request("/auth/logout", token).POST(BodyPublishers.noBody())));
        http = HttpClient.newHttpClient();
        told("after", send(request("/auth/status", token).GET()));
    }

    static HttpResponse<String> logIn(String form) throws Exception {
        return send(HttpRequest.newBuilder(URI.create(gateway + "/auth/login"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .POST(BodyPublishers.ofString(form)));
    }

    static HttpRequest.Builder request(String path, String token) {
        return HttpRequest.newBuilder(URI.create(gateway + path)).header("Authorization", token);
    }

    static HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
        return http.send(request.build(), BodyHandlers.ofString());
    }

    static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    static void told(String step, HttpResponse<String> response) {
        System.out.println(step + " " + response.statusCode());
    }
}
