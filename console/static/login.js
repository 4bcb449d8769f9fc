// Shows the token, from the address or by hand. What follows # is never sent.
const problem = document.getElementById("problem");

async function logIn(token) {
  const answer = await fetch("/login", { method: "POST", body: JSON.stringify({ token }) });
  if (answer.ok) location.replace("/");
  else problem.textContent = answer.status === 401 ? "That is not the token." : "The console does not answer.";
}

document.getElementById("login").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn(document.getElementById("token").value.trim());
});

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  history.replaceState(null, "", "/");
  logIn(given);
}
