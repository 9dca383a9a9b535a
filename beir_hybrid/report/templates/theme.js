try {
  const theme = localStorage.getItem("beir-hybrid-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* without storage, the page has the theme of the system */ }
