// A request as code in three languages. Bodies above a screenful are read from a file.
const LONGEST_INLINE = 1500;

export function snippet(language, url, body) {
  const inline = body.length <= LONGEST_INLINE;
  return { curl, python, javascript }[language](url, body, inline);
}

function curl(url, body, inline) {
  const data = inline ? `'${body.replaceAll("'", "'\\''")}'` : "@request.json";
  return `${inline ? "" : "# save the JSON body as request.json first\n"}curl -s ${url} \\
  -H "Authorization: Bearer $DLPROXY_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d ${data}`;
}

function python(url, body, inline) {
  const content = inline ? `r"""${body}"""` : 'open("request.json", "rb").read()';
  return `import os
import httpx

answer = httpx.post(
    "${url}",
    headers={
        "Authorization": f"Bearer {os.environ['DLPROXY_API_KEY']}",
        "Content-Type": "application/json",
    },
    content=${content},
)
answer.raise_for_status()
print(answer.json()["outputs"])`;
}

function javascript(url, body, inline) {
  const content = inline ? `JSON.stringify(${body})` : 'await (await import("node:fs/promises")).readFile("request.json")';
  return `const answer = await fetch("${url}", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.DLPROXY_API_KEY}\`,
    "Content-Type": "application/json",
  },
  body: ${content},
});
if (!answer.ok) throw new Error(await answer.text());
console.log((await answer.json()).outputs);`;
}
