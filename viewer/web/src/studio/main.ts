// Start of the studio's page.

const app = document.getElementById("app");
if (app !== null) app.textContent = "Diorama studio";
